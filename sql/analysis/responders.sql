-- title: Responders of the index view
-- grain: episode_id, instrument, threshold, visit_window
-- rule: outcomes.responders of index episodes.
-- source: outcomes.responders
SELECT
    episode_id,
    patient_id,
    tier,
    is_index,
    instrument,
    threshold,
    visit_window,
    response,
    reason
FROM outcomes.responders
WHERE is_index
