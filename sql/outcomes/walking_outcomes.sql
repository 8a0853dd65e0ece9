-- title: Walking tests with change and ceiling flags
-- grain: episode_id, instrument, visit_window
-- rule: Distance, time to stop and speed at baseline and at the visit. A test at its cap only says "at least this
--   far": the flags say so, and percent change is undefined where the baseline is at the cap or 0 m.
-- source: outcomes.scheduled_visits (kept visits); design, walking
SELECT
    episode_id,
    patient_id,
    tier,
    is_index,
    instrument,
    visit_window,
    baseline_value AS baseline_distance_m,
    value AS distance_m,
    value - baseline_value AS change_m,
    CASE
        WHEN NOT is_baseline_at_cap THEN 100 * (value - baseline_value) / nullif(baseline_value, 0)
    END AS percent_change,
    baseline_duration_s,
    walk_duration_s AS duration_s,
    baseline_speed_m_s,
    walk_speed_m_s AS speed_m_s,
    is_baseline_at_cap,
    is_at_cap,
    stop_reason,
    is_escalated_before AS is_after_escalation,
    source_id
FROM outcomes.scheduled_visits
WHERE kind = 'walking' AND is_observed
