-- title: Every patient treated within follow-up has an episode
-- target: outcomes.episodes
-- kind: reconciliation
-- blocking: true
-- meaning: A patient had a ladder treatment between enrolment and the end of follow-up and yet no episode.
WITH treated AS (
    SELECT DISTINCT treatment_days.patient_id
    FROM staging.treatment_days AS treatment_days
    INNER JOIN staging.follow_up AS follow_up
        ON treatment_days.patient_id = follow_up.patient_id
    WHERE treatment_days.day >= 0 AND treatment_days.day <= follow_up.follow_up_end_day
)

SELECT
    count(*) FILTER (WHERE episodes.patient_id IS NULL) AS violations,
    count(*) AS rows_examined
FROM treated
LEFT JOIN outcomes.episodes AS episodes
    ON treated.patient_id = episodes.patient_id AND episodes.is_index
