-- title: Episodes lie between enrolment and the end of follow-up
-- target: outcomes.episodes
-- kind: range
-- blocking: true
-- meaning: An episode starts before enrolment or ends after follow-up, or ends before it starts.
SELECT
    count(*) FILTER (
        WHERE start_day < 0 OR end_day IS NULL OR end_day < start_day OR end_day > follow_up_end_day
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.episodes
