-- title: Time to each endpoint in the index view
-- grain: episode_id, endpoint
-- rule: outcomes.time_to_event of index episodes; relapses, which visits only bracket, are in
--   analysis.symptom_relapses.
-- source: outcomes.time_to_event
SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    endpoint,
    time_days,
    status
FROM outcomes.time_to_event
WHERE is_index AND endpoint IN (SELECT endpoints.endpoint FROM protocol.endpoints AS endpoints)
