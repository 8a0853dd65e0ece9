-- title: Crossover from the index tier to the next
-- grain: from_tier, to_tier
-- rule: Index episodes by their tier and by the tier of the episode that followed within follow-up ('none' where
--   there was none).
-- source: outcomes.episodes; domain, crossover handling
SELECT
    tier AS from_tier,
    coalesce(next_tier, 'none') AS to_tier,
    count(*) AS patients
FROM outcomes.episodes
WHERE is_index
GROUP BY tier, coalesce(next_tier, 'none')
