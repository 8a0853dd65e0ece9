-- title: Return of a symptom in the index view
-- grain: episode_id, relapse
-- rule: outcomes.symptom_relapses of index episodes; days since the first responding visit. The relapse came after
--   the lower and by the upper time; without a relapse there is no upper time.
-- source: outcomes.symptom_relapses
SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    relapse,
    instrument,
    baseline_value,
    response_lower_day - start_day AS response_lower_days,
    response_day - start_day AS response_upper_days,
    time_lower_days,
    time_upper_days,
    status
FROM outcomes.symptom_relapses
WHERE is_index
