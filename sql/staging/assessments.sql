-- title: Assessments in standard units
-- grain: patient_id, day, instrument
-- rule: Values are turned into the instrument's standard unit (feet, miles and kilometres into metres). A walking
--   test is at its cap when it stopped for the time limit or lasted as long; a walk of 0 m has no speed. Instruments
--   that the protocol does not name are left out.
-- source: protocol.units (factors), protocol.instruments (kind, time limit)
WITH converted AS (
    SELECT
        assessments.patient_id,
        assessments.day,
        assessments.instrument,
        instruments.kind,
        instruments.time_limit_s,
        assessments.value * units.factor AS value,
        assessments.duration_s,
        assessments.stop_reason,
        assessments.mode,
        assessments.record_id
    FROM raw.assessments AS assessments
    INNER JOIN protocol.instruments AS instruments
        ON assessments.instrument = instruments.instrument
    INNER JOIN protocol.units AS units
        ON assessments.instrument = units.instrument AND assessments.unit = units.unit
),

walks AS (
    SELECT
        *,
        CASE WHEN kind = 'walking' THEN value END AS walk_distance_m,
        CASE WHEN kind = 'walking' THEN duration_s END AS walk_duration_s,
        kind = 'walking'
        AND (coalesce(stop_reason = 'time_limit', FALSE) OR coalesce(duration_s >= time_limit_s, FALSE)) AS is_at_cap
    FROM converted
)

SELECT
    patient_id,
    day,
    instrument,
    value,
    walk_distance_m,
    walk_duration_s,
    CASE WHEN walk_distance_m > 0 THEN walk_distance_m / nullif(walk_duration_s, 0) END AS walk_speed_m_s,
    is_at_cap,
    stop_reason,
    mode,
    record_id
FROM walks
