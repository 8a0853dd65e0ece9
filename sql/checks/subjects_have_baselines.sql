-- title: Every subject has a baseline of something
-- target: analysis.subjects
-- kind: coverage
-- blocking: false
-- meaning: A subject has no baseline of any instrument, so no change can be told for this patient.
WITH measured AS (
    SELECT DISTINCT episode_id
    FROM outcomes.baselines
)

SELECT
    count(*) FILTER (WHERE measured.episode_id IS NULL) AS violations,
    count(*) AS rows_examined
FROM analysis.subjects AS subjects
LEFT JOIN measured
    ON subjects.episode_id = measured.episode_id
