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

kept AS (
    SELECT
        visits.episode_id,
        visits.instrument,
        collected.kind,
        visits.visit_window,
        visits.day,
        visits.value,
        visits.walk_duration_s,
        visits.walk_speed_m_s,
        visits.is_at_cap,
        visits.stop_reason,
        visits.source_id
    FROM outcomes.visits AS visits
    INNER JOIN collected
        ON visits.instrument = collected.instrument
),

missed AS (
    SELECT
        episodes.episode_id,
        collected.instrument,
        collected.kind,
        windows.visit_window,
        cast(NULL AS INTEGER) AS day,
        cast(NULL AS DOUBLE) AS value,
        cast(NULL AS DOUBLE) AS walk_duration_s,
        cast(NULL AS DOUBLE) AS walk_speed_m_s,
        cast(NULL AS BOOLEAN) AS is_at_cap,
        cast(NULL AS VARCHAR) AS stop_reason,
        cast(NULL AS VARCHAR) AS source_id
    FROM outcomes.episodes AS episodes
    INNER JOIN protocol.windows AS windows
        ON episodes.administrative_end_day >= episodes.start_day + windows.last_day
    CROSS JOIN collected
    LEFT JOIN outcomes.visits AS visits
        ON
            episodes.episode_id = visits.episode_id
            AND collected.instrument = visits.instrument
            AND windows.visit_window = visits.visit_window
    WHERE visits.episode_id IS NULL
),

scheduled AS (
    SELECT * FROM kept
    UNION ALL
    SELECT * FROM missed
)

SELECT
    scheduled.episode_id,
    episodes.patient_id,
    episodes.site_id,
    episodes.tier,
    episodes.is_index,
    scheduled.instrument,
    scheduled.kind,
    scheduled.visit_window,
    windows.window_rank,
    coalesce(episodes.start_day + windows.last_day <= episodes.administrative_end_day, FALSE) AS is_due,
    coalesce(episodes.death_day > episodes.start_day + windows.last_day, TRUE) AS is_alive,
    scheduled.day IS NOT NULL AS is_observed,
    coalesce(
        episodes.next_start_day <= coalesce(scheduled.day, episodes.start_day + windows.nominal_day), FALSE
    ) AS is_escalated_before,
    CASE
        WHEN scheduled.day IS NOT NULL THEN 'observed'
        WHEN episodes.death_day <= episodes.start_day + windows.last_day THEN 'died'
        WHEN episodes.follow_up_end_day > episodes.start_day + windows.last_day THEN 'no record in the window'
        WHEN episodes.follow_up_end_reason = 'withdrawal' THEN 'withdrawn'
        WHEN episodes.follow_up_end_reason = 'last contact' THEN 'lost to follow-up'
        ELSE 'no record in the window'
    END AS visit_status,
    baselines.baseline_value,
    baselines.baseline_duration_s,
    baselines.baseline_speed_m_s,
    baselines.is_baseline_at_cap,
    scheduled.day,
    scheduled.value,
    scheduled.walk_duration_s,
    scheduled.walk_speed_m_s,
    scheduled.is_at_cap,
    scheduled.stop_reason,
    scheduled.source_id
FROM scheduled
INNER JOIN outcomes.episodes AS episodes
    ON scheduled.episode_id = episodes.episode_id
INNER JOIN protocol.windows AS windows
    ON scheduled.visit_window = windows.visit_window
LEFT JOIN outcomes.baselines AS baselines
    ON scheduled.episode_id = baselines.episode_id AND scheduled.instrument = baselines.instrument
