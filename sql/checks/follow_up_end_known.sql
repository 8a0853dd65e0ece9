-- title: Every patient has an end of follow-up
-- target: staging.follow_up
-- kind: coverage
-- blocking: true
-- meaning: A patient has no last contact, no data cut and no event that ends follow-up, so no time at risk can be
--   counted.
SELECT
    count(*) FILTER (WHERE follow_up.follow_up_end_day IS NULL OR follow_up.end_source_id IS NULL) AS violations,
    count(*) AS rows_examined
FROM raw.patients AS patients
LEFT JOIN staging.follow_up AS follow_up
    ON patients.patient_id = follow_up.patient_id
