-- title: Walking tests have a time and a reason for stopping
-- target: staging.assessments
-- kind: coverage
-- blocking: false
-- meaning: A walking test lacks its duration or its reason for stopping, so its speed or its ceiling is unknown.
SELECT
    count(*) FILTER (WHERE walk_duration_s IS NULL OR stop_reason IS NULL) AS violations,
    count(*) AS rows_examined
FROM staging.assessments
WHERE walk_distance_m IS NOT NULL
