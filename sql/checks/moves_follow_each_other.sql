-- title: A patient's stays follow each other
-- target: analysis.transitions
-- kind: reconciliation
-- blocking: true
-- meaning: A stay does not begin where and when the one before ended, or the first does not begin at day 0 in the
--   index tier.
WITH stays AS (
    SELECT
        start_days,
        stop_days,
        from_state,
        lag(stop_days) OVER (PARTITION BY patient_id ORDER BY start_days) AS left_days,
        coalesce(lag(to_state) OVER (PARTITION BY patient_id ORDER BY start_days), index_tier) AS entered_state
    FROM analysis.transitions
)

SELECT
    count(*) FILTER (
        WHERE start_days <> coalesce(left_days, 0) OR from_state <> entered_state OR stop_days <= start_days
    ) AS violations,
    count(*) AS rows_examined
FROM stays
