-- title: Responders at each threshold
-- grain: episode_id, instrument, threshold, visit_window
-- rule: Who can respond is decided by the baseline alone: without a baseline, with a percent threshold and a baseline
--   of zero, with a walk at the cap, or with too little room to improve that much, an episode is excluded and
--   counted. Of the others: dead at the visit is 'died'; an escalation before the visit is non-response, also when
--   the visit was missed; a missed visit is 'missing'; a walk at the cap that already reaches the threshold responds,
--   and one that does not is excluded as indeterminate. Thresholds on the final score need no baseline. Comparisons
--   are made to six decimals, so that 40 minus 27.2 is 12.8.
-- source: protocol.thresholds; design, patient-reported and walking outcomes
WITH measured AS (
    SELECT
        visits.*,
        thresholds.threshold,
        thresholds.kind AS threshold_kind,
        thresholds.value AS threshold_value,
        instruments.better,
        CASE
            WHEN instruments.better = 'lower' THEN visits.baseline_value - visits.value
            ELSE visits.value - visits.baseline_value
        END AS improvement,
        CASE
            WHEN instruments.better = 'lower' THEN visits.baseline_value - instruments.minimum
            ELSE instruments.maximum - visits.baseline_value
        END AS room,
        CASE thresholds.kind
            WHEN 'change' THEN thresholds.value
            WHEN 'percent_change' THEN thresholds.value * visits.baseline_value / 100e0
        END AS needed
    FROM outcomes.scheduled_visits AS visits
    INNER JOIN protocol.instruments AS instruments
        ON visits.instrument = instruments.instrument
    INNER JOIN protocol.thresholds AS thresholds
        ON visits.instrument = thresholds.instrument
),

judged AS (
    SELECT
        *,
        CASE
            WHEN threshold_kind = 'final' THEN NULL
            WHEN baseline_value IS NULL THEN 'no baseline'
            WHEN threshold_kind = 'percent_change' AND baseline_value <= 0 THEN 'baseline zero'
            WHEN kind = 'walking' AND is_baseline_at_cap THEN 'baseline at the ceiling'
            WHEN kind = 'score' AND round(room - needed, 6) < 0 THEN 'no room to improve'
        END AS exclusion,
        CASE
            WHEN threshold_kind <> 'final' THEN round(improvement - needed, 6) >= 0
            WHEN better = 'lower' THEN value <= threshold_value
            ELSE value >= threshold_value
        END AS is_reached
    FROM measured
)

SELECT
    episode_id,
    patient_id,
    tier,
    is_index,
    instrument,
    threshold,
    visit_window,
    CASE
        WHEN exclusion IS NOT NULL THEN 'excluded'
        WHEN NOT is_observed AND NOT is_alive THEN 'died'
        WHEN is_escalated_before THEN 'non-responder'
        WHEN NOT is_observed THEN 'missing'
        WHEN is_reached THEN 'responder'
        WHEN is_at_cap THEN 'excluded'
        ELSE 'non-responder'
    END AS response,
    CASE
        WHEN exclusion IS NOT NULL THEN exclusion
        WHEN NOT is_observed AND NOT is_alive THEN 'died before the visit'
        WHEN is_escalated_before THEN 'escalated before the visit'
        WHEN NOT is_observed THEN visit_status
        WHEN is_reached THEN 'threshold reached'
        WHEN is_at_cap THEN 'at the ceiling, indeterminate'
        ELSE 'threshold not reached'
    END AS reason
FROM judged
