-- title: Subjects of the index view
-- grain: episode_id
-- rule: One row per index episode with what was known at its time zero: characteristics at enrolment, tiers used
--   before, days waited since enrolment, and baselines. Watched are the days to the end of follow-up, whatever
--   happened within them; of those who died, the days to the data cut. Columns of instruments that the protocol lacks
--   are null.
-- source: outcomes.episodes, outcomes.baselines, staging.patients
WITH baselines AS (
    SELECT
        episode_id,
        max(baseline_value) FILTER (WHERE instrument = 'nrs_leg') AS nrs_leg_baseline,
        max(baseline_value) FILTER (WHERE instrument = 'nrs_back') AS nrs_back_baseline,
        max(baseline_value) FILTER (WHERE instrument = 'odi') AS odi_baseline,
        max(baseline_value) FILTER (WHERE instrument = 'spwt') AS spwt_baseline,
        max(baseline_duration_s) FILTER (WHERE instrument = 'spwt') AS spwt_baseline_duration_s,
        max(baseline_speed_m_s) FILTER (WHERE instrument = 'spwt') AS spwt_baseline_speed_m_s,
        bool_or(is_baseline_at_cap) FILTER (WHERE instrument = 'spwt') AS is_spwt_baseline_at_cap
    FROM outcomes.baselines
    GROUP BY episode_id
)

SELECT
    episodes.episode_id,
    episodes.patient_id,
    episodes.site_id,
    episodes.tier,
    episodes.tier_rank,
    episodes.start_day,
    patients.enrolment_year,
    patients.age_years,
    patients.sex,
    patients.bmi,
    patients.smoking,
    patients.comorbidity_count,
    patients.diabetes,
    patients.depression,
    patients.opioid_use,
    patients.prior_lumbar_surgery,
    patients.spondylolisthesis,
    patients.stenosis_grade,
    patients.stenotic_levels,
    patients.symptom_months,
    patients.back_dominant,
    patients.workers_comp,
    patients.insurance,
    patients.education,
    patients.enrolment_quarter,
    patients.site_sequence,
    episodes.prior_tiers,
    episodes.waiting_days,
    CASE
        WHEN episodes.follow_up_end_reason = 'death' THEN episodes.administrative_end_day
        ELSE episodes.follow_up_end_day
    END - episodes.start_day AS watched_days,
    episodes.site_id = patients.site_id AS is_enrolling_site,
    baselines.nrs_leg_baseline,
    baselines.nrs_back_baseline,
    baselines.odi_baseline,
    baselines.spwt_baseline,
    baselines.spwt_baseline_duration_s,
    baselines.spwt_baseline_speed_m_s,
    baselines.is_spwt_baseline_at_cap
FROM outcomes.episodes AS episodes
INNER JOIN staging.patients AS patients
    ON episodes.patient_id = patients.patient_id
LEFT JOIN baselines
    ON episodes.episode_id = baselines.episode_id
WHERE episodes.is_index
