-- title: Moves between tiers, and death
-- grain: patient_id, start_days
-- rule: Each episode is a stay in its tier, in days since the index episode started, that ends with the move to the
--   next tier, with death, or without a move ('censor') at the end of follow-up. A death on the day a stay starts is
--   put half a day later; a stay without length and without a move is left out.
-- source: outcomes.episodes; Aalen & Johansen 1978
WITH stays AS (
    SELECT
        episodes.patient_id,
        first_episodes.site_id,
        first_episodes.tier AS index_tier,
        episodes.tier AS from_state,
        CASE
            WHEN episodes.next_tier IS NOT NULL THEN episodes.next_tier
            WHEN episodes.follow_up_end_reason = 'death' THEN 'death'
            ELSE 'censor'
        END AS to_state,
        episodes.start_day - first_episodes.start_day AS start_days,
        episodes.end_day - first_episodes.start_day AS stop_days
    FROM outcomes.episodes AS episodes
    INNER JOIN outcomes.episodes AS first_episodes
        ON episodes.patient_id = first_episodes.patient_id AND first_episodes.is_index
)

SELECT
    patient_id,
    site_id,
    index_tier,
    cast(start_days AS DOUBLE) AS start_days,
    CASE WHEN stop_days = start_days THEN start_days + 5e-1 ELSE cast(stop_days AS DOUBLE) END AS stop_days,
    from_state,
    to_state
FROM stays
WHERE stop_days > start_days OR to_state <> 'censor'
