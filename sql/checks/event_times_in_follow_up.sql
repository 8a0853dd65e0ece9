-- title: Times lie between the start and the end of follow-up
-- target: outcomes.time_to_event
-- kind: range
-- blocking: true
-- meaning: A time is negative, goes beyond follow-up, or its status is none of censored, event and competing.
SELECT
    count(*) FILTER (
        WHERE
        times.time_days IS NULL
        OR times.time_days < 0
        OR times.start_day + times.time_days > episodes.follow_up_end_day
        OR times.status NOT IN (0, 1, 2)
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.time_to_event AS times
INNER JOIN outcomes.episodes AS episodes
    ON times.episode_id = episodes.episode_id
