-- title: Each episode of a patient is of a higher tier than the one before
-- target: outcomes.episodes
-- kind: range
-- blocking: true
-- meaning: An episode opened at a tier that is not higher than the running one, or is numbered out of order.
WITH steps AS (
    SELECT
        tier_rank,
        start_day,
        episode_number,
        lag(tier_rank) OVER (PARTITION BY patient_id ORDER BY start_day) AS tier_rank_before,
        lag(next_start_day) OVER (PARTITION BY patient_id ORDER BY start_day) AS announced_day,
        row_number() OVER (PARTITION BY patient_id ORDER BY start_day) AS place
    FROM outcomes.episodes
)

SELECT
    count(*) FILTER (
        WHERE
        coalesce(tier_rank <= tier_rank_before, FALSE)
        OR coalesce(start_day <> announced_day, FALSE)
        OR episode_number <> place
    ) AS violations,
    count(*) AS rows_examined
FROM steps
