-- title: Each step of the attrition adds up
-- target: outcomes.attrition
-- kind: reconciliation
-- blocking: true
-- meaning: What remains after a step is not what remained before less what it excluded, or the last step is not the
--   index episodes.
WITH steps AS (
    SELECT
        step,
        tier,
        excluded,
        remaining,
        lag(remaining) OVER (PARTITION BY tier ORDER BY step) AS remaining_before,
        lead(step) OVER (PARTITION BY tier ORDER BY step) AS next_step
    FROM outcomes.attrition
),

index_episodes AS (
    SELECT
        tier,
        count(*) AS episodes
    FROM outcomes.episodes
    WHERE is_index
    GROUP BY tier
)

SELECT
    count(*) FILTER (
        WHERE
        coalesce(steps.remaining_before - steps.excluded, steps.remaining) <> steps.remaining
        OR (steps.next_step IS NULL AND steps.remaining <> coalesce(index_episodes.episodes, 0))
    ) AS violations,
    count(*) AS rows_examined
FROM steps
LEFT JOIN index_episodes
    ON steps.tier = index_episodes.tier
