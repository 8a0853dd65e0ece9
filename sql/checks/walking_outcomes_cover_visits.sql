-- title: Every kept walking test has its change worked out
-- target: outcomes.walking_outcomes
-- kind: reconciliation
-- blocking: true
-- meaning: A kept visit with a walking test is missing from the table or stands there twice.
WITH counted AS (
    SELECT
        episode_id,
        instrument,
        visit_window,
        count(*) AS copies
    FROM outcomes.walking_outcomes
    GROUP BY episode_id, instrument, visit_window
)

SELECT
    count(*) FILTER (WHERE coalesce(counted.copies, 0) <> 1) AS violations,
    count(*) AS rows_examined
FROM outcomes.visits AS visits
INNER JOIN protocol.instruments AS instruments
    ON visits.instrument = instruments.instrument
LEFT JOIN counted
    ON
        visits.episode_id = counted.episode_id
        AND visits.instrument = counted.instrument
        AND visits.visit_window = counted.visit_window
WHERE instruments.kind = 'walking'
