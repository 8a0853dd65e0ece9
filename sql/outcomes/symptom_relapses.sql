-- title: Return of a symptom after a response
-- grain: episode_id, relapse
-- rule: Of the episodes that responded at a visit (reached the threshold that the relapse names), when the score was
--   first back to within the margin of its baseline. It is seen at visits only, so both ends are intervals: the
--   response began after response_lower_day and by response_day, the relapse came after last_free_day and by
--   relapse_day. The clock starts at the first responding visit. Visits after an escalation say nothing about this
--   tier: the row is then censored at the last visit before it, as it is at the last visit of all where none was
--   back.
-- source: protocol.relapses; design, relapse (Turnbull's curve)
WITH visits AS (
    SELECT
        visits.episode_id,
        visits.patient_id,
        visits.site_id,
        visits.tier,
        visits.is_index,
        episodes.start_day,
        relapses.relapse,
        visits.instrument,
        visits.baseline_value,
        visits.day,
        visits.source_id,
        coalesce(responders.response = 'responder', FALSE) AS is_response,
        CASE
            WHEN instruments.better = 'lower'
                THEN round(visits.baseline_value - visits.value - relapses.margin, 6) <= 0
            ELSE round(visits.value - visits.baseline_value - relapses.margin, 6) <= 0
        END AS is_back
    FROM outcomes.scheduled_visits AS visits
    INNER JOIN outcomes.episodes AS episodes
        ON visits.episode_id = episodes.episode_id
    INNER JOIN protocol.instruments AS instruments
        ON visits.instrument = instruments.instrument
    INNER JOIN protocol.relapses AS relapses
        ON visits.instrument = relapses.instrument
    INNER JOIN outcomes.responders AS responders
        ON
            visits.episode_id = responders.episode_id
            AND visits.instrument = responders.instrument
            AND visits.visit_window = responders.visit_window
            AND relapses.threshold = responders.threshold
    WHERE visits.is_observed AND NOT visits.is_escalated_before
),

responses AS (
    SELECT
        *,
        min(CASE WHEN is_response THEN day END) OVER (PARTITION BY episode_id, relapse) AS response_day
    FROM visits
),

returns AS (
    SELECT
        *,
        min(CASE WHEN day > response_day AND is_back THEN day END) OVER (
            PARTITION BY episode_id, relapse
        ) AS relapse_day
    FROM responses
    WHERE response_day IS NOT NULL
),

spans AS (
    SELECT
        *,
        coalesce(
            max(CASE WHEN day < response_day THEN day END) OVER (PARTITION BY episode_id, relapse), start_day
        ) AS response_lower_day,
        max(CASE WHEN day < relapse_day OR relapse_day IS NULL THEN day END) OVER (
            PARTITION BY episode_id, relapse
        ) AS last_free_day
    FROM returns
)

SELECT
    episode_id,
    patient_id,
    site_id,
    tier,
    is_index,
    relapse,
    instrument,
    baseline_value,
    start_day,
    response_lower_day,
    response_day,
    last_free_day,
    relapse_day,
    last_free_day - response_day AS time_lower_days,
    relapse_day - response_day AS time_upper_days,
    CASE WHEN relapse_day IS NULL THEN 0 ELSE 1 END AS status,
    source_id
FROM spans
WHERE day = coalesce(relapse_day, last_free_day)
