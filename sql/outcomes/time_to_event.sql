-- title: Time to each endpoint
-- grain: episode_id, endpoint
-- rule: The clock starts on the day the episode starts. A treatment endpoint is the first day after it with a
--   treatment that the endpoint names for this tier, planned stages within planned_stage_days of the start left out;
--   an event endpoint is the first named event on or after it. Death competes, and an event on the day of death
--   counts as the event. Everybody else is censored at the end of follow-up, or at the end of the endpoint's own
--   window if that comes first. Each row names the record that decided it. The lower and upper time are the time
--   itself, unless the event was seen at a visit: then it came after the lower and by the upper time. A relapse has
--   its own row for each episode that responded, its clock starts at the first responding visit, and without a
--   relapse it has no upper time.
-- source: protocol.endpoints and the tables beside it (treatments, events, relapses), protocol.competing_events
WITH treatment_events AS (
    SELECT
        episodes.episode_id,
        pairs.endpoint,
        treatment_days.day,
        treatment_days.day AS lower_day,
        treatment_days.tier AS event_description,
        'treatments' AS source_table,
        treatment_days.record_id AS source_id
    FROM outcomes.episodes AS episodes
    CROSS JOIN protocol.rules AS rules
    INNER JOIN staging.treatment_days AS treatment_days
        ON
            episodes.patient_id = treatment_days.patient_id
            AND episodes.start_day < treatment_days.day
            AND episodes.follow_up_end_day >= treatment_days.day
    INNER JOIN protocol.endpoint_treatments AS pairs
        ON episodes.tier = pairs.index_tier AND treatment_days.tier = pairs.event_tier
    WHERE
        treatment_days.day - episodes.start_day > pairs.after_days
        AND NOT (
            treatment_days.is_planned_stage
            AND treatment_days.day - episodes.start_day <= rules.planned_stage_days
        )
),

other_events AS (
    SELECT
        episodes.episode_id,
        pairs.endpoint,
        events.day,
        events.day AS lower_day,
        events.event AS event_description,
        'events' AS source_table,
        events.record_id AS source_id
    FROM outcomes.episodes AS episodes
    INNER JOIN staging.events AS events
        ON
            episodes.patient_id = events.patient_id
            AND episodes.start_day <= events.day
            AND episodes.follow_up_end_day >= events.day
    INNER JOIN protocol.endpoint_events AS pairs
        ON events.event = pairs.event
),

relapse_events AS (
    SELECT
        relapses.episode_id,
        pairs.endpoint,
        relapses.relapse_day AS day,
        relapses.last_free_day AS lower_day,
        relapses.relapse AS event_description,
        'assessments' AS source_table,
        relapses.source_id
    FROM outcomes.symptom_relapses AS relapses
    INNER JOIN protocol.endpoint_relapses AS pairs
        ON relapses.relapse = pairs.relapse
    WHERE relapses.relapse_day IS NOT NULL
),

candidates AS (
    SELECT * FROM treatment_events
    UNION ALL
    SELECT * FROM other_events
    UNION ALL
    SELECT * FROM relapse_events
),

first_events AS (
    SELECT *
    FROM candidates
    QUALIFY
        row_number() OVER (
            PARTITION BY episode_id, endpoint
            ORDER BY day ASC, lower_day DESC, source_table ASC, event_description ASC, source_id ASC
        ) = 1
),

first_competing AS (
    SELECT
        episodes.episode_id,
        events.day,
        events.event AS event_description,
        events.record_id AS source_id
    FROM outcomes.episodes AS episodes
    INNER JOIN staging.events AS events
        ON
            episodes.patient_id = events.patient_id
            AND episodes.start_day <= events.day
            AND episodes.follow_up_end_day >= events.day
    INNER JOIN protocol.competing_events AS competing
        ON events.event = competing.event
    QUALIFY row_number() OVER (PARTITION BY episodes.episode_id ORDER BY events.day, events.event, events.record_id) = 1
),

at_risk AS (
    SELECT
        episodes.episode_id,
        episodes.patient_id,
        endpoints.endpoint,
        episodes.tier,
        episodes.is_index,
        episodes.site_id,
        episodes.start_day,
        follow_up.follow_up_end_day,
        follow_up.follow_up_end_reason,
        follow_up.end_source_table,
        follow_up.end_source_id,
        episodes.start_day + endpoints.within_days AS window_end_day,
        least(follow_up.follow_up_end_day, episodes.start_day + endpoints.within_days) AS last_day
    FROM outcomes.episodes AS episodes
    INNER JOIN staging.follow_up AS follow_up
        ON episodes.patient_id = follow_up.patient_id
    CROSS JOIN protocol.endpoints AS endpoints
),

decided AS (
    SELECT
        at_risk.*,
        first_events.day AS event_day,
        first_events.lower_day,
        first_events.event_description,
        first_events.source_table AS event_source_table,
        first_events.source_id AS event_source_id,
        first_competing.day AS competing_day,
        first_competing.event_description AS competing_description,
        first_competing.source_id AS competing_source_id,
        CASE
            WHEN
                first_events.day <= at_risk.last_day
                AND first_events.day <= coalesce(first_competing.day, at_risk.last_day) THEN 'event'
            WHEN first_competing.day <= at_risk.last_day THEN 'competing'
            WHEN at_risk.window_end_day < at_risk.follow_up_end_day THEN 'window'
            ELSE 'follow-up'
        END AS decision
    FROM at_risk
    LEFT JOIN first_events
        ON at_risk.episode_id = first_events.episode_id AND at_risk.endpoint = first_events.endpoint
    LEFT JOIN first_competing
        ON at_risk.episode_id = first_competing.episode_id
),

ended AS (
    SELECT
        *,
        CASE decision WHEN 'event' THEN event_day WHEN 'competing' THEN competing_day ELSE last_day END AS decided_day
    FROM decided
)

SELECT
    episode_id,
    patient_id,
    endpoint,
    tier,
    is_index,
    site_id,
    start_day,
    decided_day - start_day AS time_days,
    CASE decision WHEN 'event' THEN lower_day ELSE decided_day END - start_day AS time_lower_days,
    decided_day - start_day AS time_upper_days,
    CASE decision WHEN 'event' THEN 1 WHEN 'competing' THEN 2 ELSE 0 END AS status,
    CASE decision
        WHEN 'event' THEN event_description
        WHEN 'competing' THEN competing_description
        WHEN 'window' THEN 'end of the endpoint''s window'
        ELSE follow_up_end_reason
    END AS event_description,
    CASE decision
        WHEN 'event' THEN event_source_table
        WHEN 'competing' THEN 'events'
        WHEN 'window' THEN 'protocol'
        ELSE end_source_table
    END AS source_table,
    CASE decision
        WHEN 'event' THEN event_source_id
        WHEN 'competing' THEN competing_source_id
        WHEN 'window' THEN endpoint
        ELSE end_source_id
    END AS source_id
FROM ended
UNION ALL
SELECT
    episode_id,
    patient_id,
    relapse AS endpoint,
    tier,
    is_index,
    site_id,
    response_day AS start_day,
    coalesce(time_upper_days, time_lower_days) AS time_days,
    time_lower_days,
    time_upper_days,
    status,
    CASE status WHEN 1 THEN relapse ELSE 'last visit without relapse' END AS event_description,
    'assessments' AS source_table,
    source_id
FROM outcomes.symptom_relapses
