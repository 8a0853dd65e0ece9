-- title: Scheduled visits, kept or missed
-- grain: episode_id, instrument, visit_window
-- rule: One row for each instrument that the release collects and each visit window that has closed for the episode
--   (its last day is not after the data cut) or that has a record. A patient is alive at a visit when no death is
--   known up to the window's last day. An escalation is before the visit when the next episode began on or before the
--   day of the record, or of the nominal day where there is none. Instruments asked after treatment only have no
--   baseline.
-- source: outcomes.visits, outcomes.baselines, protocol.windows; design, patient-reported and walking outcomes
WITH collected AS (
    SELECT
        instruments.instrument,
        instruments.kind
    FROM protocol.instruments AS instruments
    WHERE instruments.instrument IN (SELECT assessments.instrument FROM staging.assessments AS assessments)
),

windows AS (
    SELECT
        episodes.episode_id,
        episodes.patient_id,
        episodes.site_id,
        episodes.tier,
        episodes.is_index,
        episodes.next_start_day,
        episodes.death_day,
        episodes.follow_up_end_day,
        episodes.follow_up_end_reason,
        episodes.administrative_end_day,
        collected.instrument,
        collected.kind,
        windows.visit_window,
        windows.window_rank,
        episodes.start_day + windows.nominal_day AS nominal_day,
        episodes.start_day + windows.last_day AS last_day
    FROM outcomes.episodes AS episodes
    CROSS JOIN protocol.windows AS windows
    CROSS JOIN collected
)

SELECT
    windows.episode_id,
    windows.patient_id,
    windows.site_id,
    windows.tier,
    windows.is_index,
    windows.instrument,
    windows.kind,
    windows.visit_window,
    windows.window_rank,
    coalesce(windows.last_day <= windows.administrative_end_day, FALSE) AS is_due,
    coalesce(windows.death_day > windows.last_day, TRUE) AS is_alive,
    visits.day IS NOT NULL AS is_observed,
    coalesce(windows.next_start_day <= coalesce(visits.day, windows.nominal_day), FALSE) AS is_escalated_before,
    CASE
        WHEN visits.day IS NOT NULL THEN 'observed'
        WHEN windows.death_day <= windows.last_day THEN 'died'
        WHEN windows.follow_up_end_day <= windows.last_day AND windows.follow_up_end_reason = 'withdrawal'
            THEN 'withdrawn'
        WHEN windows.follow_up_end_day <= windows.last_day AND windows.follow_up_end_reason = 'last contact'
            THEN 'lost to follow-up'
        ELSE 'no record in the window'
    END AS visit_status,
    baselines.baseline_value,
    baselines.baseline_duration_s,
    baselines.baseline_speed_m_s,
    baselines.is_baseline_at_cap,
    visits.day,
    visits.value,
    visits.walk_duration_s,
    visits.walk_speed_m_s,
    visits.is_at_cap,
    visits.stop_reason,
    visits.source_id
FROM windows
LEFT JOIN outcomes.visits AS visits
    ON
        windows.episode_id = visits.episode_id
        AND windows.instrument = visits.instrument
        AND windows.visit_window = visits.visit_window
LEFT JOIN outcomes.baselines AS baselines
    ON windows.episode_id = baselines.episode_id AND windows.instrument = baselines.instrument
WHERE visits.day IS NOT NULL OR windows.last_day <= windows.administrative_end_day
