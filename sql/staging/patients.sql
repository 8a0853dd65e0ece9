-- title: Patients
-- grain: patient_id
-- rule: What was known of a patient at enrolment, as the release gave it. Dates of contact are in staging.follow_up.
-- source: design, data release (patients)
SELECT
    patient_id,
    site_id,
    enrolment_year,
    age_years,
    sex,
    bmi,
    smoking,
    comorbidity_count,
    diabetes,
    depression,
    opioid_use,
    prior_lumbar_surgery,
    spondylolisthesis,
    stenosis_grade,
    stenotic_levels,
    symptom_months,
    back_dominant,
    workers_comp,
    insurance,
    education,
    enrolment_quarter,
    site_sequence
FROM raw.patients
