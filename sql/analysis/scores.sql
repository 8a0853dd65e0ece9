-- title: Scores of the index view, kept and missed
-- grain: episode_id, instrument, visit_window
-- rule: Scheduled visits of index episodes for scores; the value is null where the visit was missed.
-- source: outcomes.scheduled_visits
SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    instrument,
    visit_window,
    window_rank,
    baseline_value,
    value,
    is_observed,
    is_escalated_before,
    is_due,
    is_alive
FROM outcomes.scheduled_visits
WHERE is_index AND kind = 'score'
