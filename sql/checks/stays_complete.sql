-- title: Every episode has an as-treated stay for every endpoint
-- target: analysis.as_treated
-- kind: reconciliation
-- blocking: true
-- meaning: An episode lacks a stay of an endpoint, or a stay has no length or goes beyond its episode.
WITH endpoints AS (
    SELECT count(*) AS endpoints
    FROM protocol.endpoints
),

counted AS (
    SELECT
        stays.episode_id,
        count(*) FILTER (
            WHERE stays.time_days > stays.entry_days AND stays.time_days <= episodes.end_day
        ) AS endpoints
    FROM analysis.as_treated AS stays
    INNER JOIN outcomes.episodes AS episodes
        ON stays.episode_id = episodes.episode_id
    GROUP BY stays.episode_id
)

SELECT
    count(*) FILTER (WHERE coalesce(counted.endpoints, 0) <> endpoints.endpoints) AS violations,
    count(*) AS rows_examined
FROM outcomes.episodes AS episodes
CROSS JOIN endpoints
LEFT JOIN counted
    ON episodes.episode_id = counted.episode_id
WHERE endpoints.endpoints > 0
