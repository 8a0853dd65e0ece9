-- title: No assessment is recorded after the end of follow-up
-- target: outcomes.visits
-- kind: range
-- blocking: false
-- meaning: Assessments are recorded after the end of follow-up; they count for nothing, and the last contact of these
--   patients may be wrong.
SELECT
    count(*) FILTER (WHERE assessments.day > follow_up.follow_up_end_day) AS violations,
    count(*) AS rows_examined
FROM staging.assessments AS assessments
INNER JOIN staging.follow_up AS follow_up
    ON assessments.patient_id = follow_up.patient_id
