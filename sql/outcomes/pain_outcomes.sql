-- title: Pain, disability and health scores with change
-- grain: episode_id, instrument, visit_window
-- rule: Change is the visit's value minus baseline; improvement has the sign that makes positive better. Percent
--   improvement is of the baseline value and undefined where that is zero or below. Without a baseline there is no
--   change.
-- source: outcomes.scheduled_visits (kept visits); protocol.instruments (which direction is better)
WITH scores AS (
    SELECT
        visits.*,
        visits.value - visits.baseline_value AS change,
        CASE
            WHEN instruments.better = 'lower' THEN visits.baseline_value - visits.value
            ELSE visits.value - visits.baseline_value
        END AS improvement,
        coalesce(visits.baseline_value > 0, FALSE) AS is_percent_defined
    FROM outcomes.scheduled_visits AS visits
    INNER JOIN protocol.instruments AS instruments
        ON visits.instrument = instruments.instrument
    WHERE visits.kind = 'score' AND visits.is_observed
)

SELECT
    episode_id,
    patient_id,
    tier,
    is_index,
    instrument,
    visit_window,
    baseline_value,
    value,
    change,
    improvement,
    CASE WHEN is_percent_defined THEN 100 * improvement / nullif(baseline_value, 0) END AS percent_improvement,
    is_percent_defined,
    is_escalated_before AS is_after_escalation,
    source_id
FROM scores
