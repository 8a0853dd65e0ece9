-- title: Baselines lie in the baseline window
-- target: outcomes.baselines
-- kind: range
-- blocking: true
-- meaning: A baseline was recorded earlier or later than the protocol allows.
SELECT
    count(*) FILTER (
        WHERE
        baselines.baseline_day < episodes.start_day + rules.baseline_first_day
        OR baselines.baseline_day > episodes.start_day + rules.baseline_last_day
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.baselines AS baselines
INNER JOIN outcomes.episodes AS episodes
    ON baselines.episode_id = episodes.episode_id
CROSS JOIN protocol.rules AS rules
