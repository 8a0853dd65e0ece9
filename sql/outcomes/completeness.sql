-- title: Completeness of closed windows
-- grain: site_id, tier, instrument, visit_window
-- rule: Of the index episodes whose window has closed by the data cut and whose patient lived to its last day
--   (expected), how many have a record in it (observed). Withdrawn and lost patients stay expected.
-- source: outcomes.scheduled_visits; domain, follow-up completeness
SELECT
    site_id,
    tier,
    instrument,
    visit_window,
    count(*) AS expected,
    count(*) FILTER (WHERE is_observed) AS observed
FROM outcomes.scheduled_visits
WHERE is_index AND is_due AND is_alive
GROUP BY site_id, tier, instrument, visit_window
