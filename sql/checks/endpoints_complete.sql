-- title: Every episode has a row for every endpoint
-- target: outcomes.time_to_event
-- kind: reconciliation
-- blocking: true
-- meaning: An episode lacks a row of an endpoint, or has one too many.
WITH endpoints AS (
    SELECT count(*) AS endpoints
    FROM protocol.endpoints
),

counted AS (
    SELECT
        episode_id,
        count(*) AS endpoints
    FROM outcomes.time_to_event
    WHERE endpoint IN (SELECT listed.endpoint FROM protocol.endpoints AS listed)
    GROUP BY episode_id
)

SELECT
    count(*) FILTER (WHERE coalesce(counted.endpoints, 0) <> endpoints.endpoints) AS violations,
    count(*) AS rows_examined
FROM outcomes.episodes AS episodes
CROSS JOIN endpoints
LEFT JOIN counted
    ON episodes.episode_id = counted.episode_id
WHERE endpoints.endpoints > 0
