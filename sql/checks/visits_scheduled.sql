-- title: Every visit is on the schedule
-- target: outcomes.scheduled_visits
-- kind: reconciliation
-- blocking: true
-- meaning: A visit with a record is missing from the schedule or stands there as missed.
SELECT
    count(*) FILTER (WHERE NOT coalesce(scheduled.is_observed, FALSE)) AS violations,
    count(*) AS rows_examined
FROM outcomes.visits AS visits
LEFT JOIN outcomes.scheduled_visits AS scheduled
    ON
        visits.episode_id = scheduled.episode_id
        AND visits.instrument = scheduled.instrument
        AND visits.visit_window = scheduled.visit_window
