-- title: Follow-up ends on or after enrolment
-- target: staging.follow_up
-- kind: range
-- blocking: false
-- meaning: A patients follow-up ends before enrolment; nothing of this patient is analysed.
SELECT
    count(*) FILTER (WHERE follow_up_end_day < 0) AS violations,
    count(*) AS rows_examined
FROM staging.follow_up
