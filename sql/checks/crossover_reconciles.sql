-- title: The crossover table counts every index episode once
-- target: outcomes.crossover
-- kind: reconciliation
-- blocking: true
-- meaning: The patients of a tier in the crossover table are not its index episodes.
WITH moved AS (
    SELECT
        from_tier,
        sum(patients) AS patients
    FROM outcomes.crossover
    GROUP BY from_tier
),

index_episodes AS (
    SELECT
        tier,
        count(*) AS patients
    FROM outcomes.episodes
    WHERE is_index
    GROUP BY tier
)

SELECT
    count(*) FILTER (WHERE coalesce(moved.patients, 0) <> index_episodes.patients) AS violations,
    count(*) AS rows_examined
FROM index_episodes
LEFT JOIN moved
    ON index_episodes.tier = moved.from_tier
