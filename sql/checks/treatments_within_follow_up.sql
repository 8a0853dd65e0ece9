-- title: No ladder treatment is recorded after the end of follow-up
-- target: outcomes.episodes
-- kind: range
-- blocking: false
-- meaning: Treatments are recorded after the end of follow-up; they count for nothing, and the last contact of these
--   patients may be wrong.
SELECT
    count(*) FILTER (WHERE treatment_days.day > follow_up.follow_up_end_day) AS violations,
    count(*) AS rows_examined
FROM staging.treatment_days AS treatment_days
INNER JOIN staging.follow_up AS follow_up
    ON treatment_days.patient_id = follow_up.patient_id
