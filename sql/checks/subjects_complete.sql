-- title: Every index episode is a subject
-- target: analysis.subjects
-- kind: reconciliation
-- blocking: true
-- meaning: An index episode is missing from the subjects, so its patient would drop out of every adjusted analysis.
SELECT
    count(*) FILTER (WHERE subjects.episode_id IS NULL) AS violations,
    count(*) AS rows_examined
FROM outcomes.episodes AS episodes
LEFT JOIN analysis.subjects AS subjects
    ON episodes.episode_id = subjects.episode_id
WHERE episodes.is_index
