-- title: Walking tests of the index view, kept and missed
-- grain: episode_id, instrument, visit_window
-- rule: Scheduled visits of index episodes for walking tests; distance and time are null where the visit was missed.
-- source: outcomes.scheduled_visits
SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    instrument,
    visit_window,
    window_rank,
    baseline_value AS baseline_distance_m,
    baseline_duration_s,
    baseline_speed_m_s,
    is_baseline_at_cap,
    value AS distance_m,
    walk_duration_s AS duration_s,
    walk_speed_m_s AS speed_m_s,
    is_at_cap,
    stop_reason,
    is_observed,
    is_escalated_before,
    is_due,
    is_alive
FROM outcomes.scheduled_visits
WHERE is_index AND kind = 'walking'
