-- title: A patient has exactly one index episode
-- target: outcomes.episodes
-- kind: grain
-- blocking: true
-- meaning: A patient with episodes has none or several that count as the index episode.
WITH patients AS (
    SELECT
        patient_id,
        count(*) FILTER (WHERE is_index) AS index_episodes
    FROM outcomes.episodes
    GROUP BY patient_id
)

SELECT
    count(*) FILTER (WHERE index_episodes <> 1) AS violations,
    count(*) AS rows_examined
FROM patients
