-- title: Baseline of each instrument
-- grain: episode_id, instrument
-- rule: The latest record from baseline_first_day to baseline_last_day (both counted from the start of the episode,
--   both included). Instruments that only make sense after treatment have no baseline.
-- source: protocol.rules (baseline days), protocol.instruments
WITH candidates AS (
    SELECT
        episodes.episode_id,
        episodes.patient_id,
        assessments.instrument,
        assessments.day,
        assessments.value,
        assessments.walk_duration_s,
        assessments.walk_speed_m_s,
        assessments.is_at_cap,
        assessments.record_id
    FROM outcomes.episodes AS episodes
    INNER JOIN staging.assessments AS assessments
        ON episodes.patient_id = assessments.patient_id
    INNER JOIN protocol.instruments AS instruments
        ON assessments.instrument = instruments.instrument
    CROSS JOIN protocol.rules AS rules
    WHERE
        assessments.day >= episodes.start_day + rules.baseline_first_day
        AND assessments.day <= episodes.start_day + rules.baseline_last_day
        AND assessments.day <= episodes.follow_up_end_day
        AND NOT instruments.is_after_treatment_only
)

SELECT
    episode_id,
    patient_id,
    instrument,
    day AS baseline_day,
    value AS baseline_value,
    walk_duration_s AS baseline_duration_s,
    walk_speed_m_s AS baseline_speed_m_s,
    is_at_cap AS is_baseline_at_cap,
    record_id AS source_id
FROM candidates
QUALIFY row_number() OVER (PARTITION BY episode_id, instrument ORDER BY day DESC) = 1
