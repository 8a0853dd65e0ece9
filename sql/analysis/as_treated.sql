-- title: As-treated view
-- grain: episode_id, endpoint
-- rule: Days since enrolment. A patient enters the risk set of a tier when its episode starts (delayed entry) and
--   leaves it at the endpoint, at death, when the next tier starts or at the end of follow-up. The escalation that
--   ends a stay counts against the tier it left; a death or another event on that day counts under the tier that
--   starts then. Entry is half a day before the start, so that an event on the first day is seen. Later treatment
--   never decides the tier of earlier days: delaying an operation adds no surgical time at risk.
-- source: design, views; Andersen & Gill 1982 (counting process)
WITH stays AS (
    SELECT
        times.episode_id,
        times.patient_id,
        episodes.site_id,
        episodes.tier,
        episodes.tier_rank,
        episodes.prior_tiers,
        times.endpoint,
        times.status,
        times.source_table,
        episodes.start_day,
        episodes.start_day + times.time_days AS decided_day,
        episodes.next_start_day,
        episodes.end_day
    FROM outcomes.time_to_event AS times
    INNER JOIN outcomes.episodes AS episodes
        ON times.episode_id = episodes.episode_id
    WHERE times.endpoint IN (SELECT endpoints.endpoint FROM protocol.endpoints AS endpoints)
)

SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    tier_rank,
    prior_tiers,
    start_day AS waiting_days,
    endpoint,
    start_day - 5e-1 AS entry_days,
    cast(least(decided_day, end_day) AS DOUBLE) AS time_days,
    CASE
        WHEN decided_day > end_day THEN 0
        WHEN coalesce(decided_day = next_start_day, FALSE) AND source_table <> 'treatments' THEN 0
        ELSE status
    END AS status
FROM stays
