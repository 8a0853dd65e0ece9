-- title: Walking speed is between 0.05 and 3 metres a second
-- target: staging.assessments
-- kind: range
-- blocking: false
-- meaning: A walking speed that nobody with neurogenic claudication has, which points to mistaken units of distance
--   or time.
SELECT
    count(*) FILTER (WHERE walk_speed_m_s < 5e-2 OR walk_speed_m_s > 3) AS violations,
    count(*) AS rows_examined
FROM staging.assessments
WHERE walk_speed_m_s IS NOT NULL
