-- title: Visits lie in their windows and within follow-up
-- target: outcomes.visits
-- kind: range
-- blocking: true
-- meaning: A visit lies outside the days of its window or after the end of follow-up.
SELECT
    count(*) FILTER (
        WHERE
        visits.days_from_start < windows.first_day
        OR visits.days_from_start > windows.last_day
        OR visits.day <> episodes.start_day + visits.days_from_start
        OR visits.day > episodes.follow_up_end_day
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.visits AS visits
INNER JOIN outcomes.episodes AS episodes
    ON visits.episode_id = episodes.episode_id
INNER JOIN protocol.windows AS windows
    ON visits.visit_window = windows.visit_window
