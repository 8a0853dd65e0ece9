-- title: Visits in their windows
-- grain: episode_id, instrument, visit_window
-- rule: Of the records within a window (days from the start of the episode, both ends included) the one nearest to
--   the nominal day counts; of two as near, the earlier. Records are never averaged. Nothing after the end of follow-
--   up counts. A record on or after the start of the next episode stays (treatment policy) and is flagged.
-- source: protocol.windows; design, patient-reported and walking outcomes
WITH in_windows AS (
    SELECT
        episodes.episode_id,
        episodes.patient_id,
        assessments.instrument,
        windows.visit_window,
        windows.nominal_day,
        assessments.day,
        assessments.day - episodes.start_day AS days_from_start,
        assessments.value,
        assessments.walk_duration_s,
        assessments.walk_speed_m_s,
        assessments.is_at_cap,
        assessments.stop_reason,
        assessments.record_id,
        coalesce(episodes.next_start_day <= assessments.day, FALSE) AS is_after_escalation
    FROM outcomes.episodes AS episodes
    INNER JOIN staging.assessments AS assessments
        ON
            episodes.patient_id = assessments.patient_id
            AND episodes.start_day < assessments.day
            AND episodes.follow_up_end_day >= assessments.day
    INNER JOIN protocol.windows AS windows
        ON
            assessments.day - episodes.start_day >= windows.first_day
            AND assessments.day - episodes.start_day <= windows.last_day
)

SELECT
    episode_id,
    patient_id,
    instrument,
    visit_window,
    day,
    days_from_start,
    value,
    walk_duration_s,
    walk_speed_m_s,
    is_at_cap,
    stop_reason,
    record_id AS source_id,
    is_after_escalation
FROM in_windows
QUALIFY
    row_number() OVER (
        PARTITION BY episode_id, instrument, visit_window ORDER BY abs(days_from_start - nominal_day), day
    ) = 1
