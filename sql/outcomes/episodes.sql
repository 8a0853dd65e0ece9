-- title: Tier episodes
-- grain: episode_id
-- rule: From enrolment (day 0) on, each treatment day whose tier is higher than on any earlier day opens an episode,
--   and that day is its time zero. Lower or equal tiers later belong to the running episode. What was done before day
--   0 is history: it counts among the prior tiers and opens nothing. A flagged planned stage opens no episode when it
--   falls within planned_stage_days of the start of its plan (the latest earlier day on which an unflagged treatment,
--   or the first of all, reached a new highest tier). Episodes that would start after the end of follow-up are
--   dropped and counted in outcomes.attrition.
-- source: protocol.rules (planned_stage_days); design, time zero
WITH ladder_days AS (
    SELECT
        *,
        max(tier_rank) OVER (
            PARTITION BY patient_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS highest_rank_before
    FROM staging.treatment_days
    WHERE day >= 0
),

new_highs AS (
    SELECT
        *,
        is_planned_stage AND highest_rank_before IS NOT NULL AS is_flagged_later_stage
    FROM ladder_days
    WHERE highest_rank_before IS NULL OR tier_rank > highest_rank_before
),

plans AS (
    SELECT
        *,
        max(CASE WHEN NOT is_flagged_later_stage THEN day END) OVER (
            PARTITION BY patient_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS plan_start_day
    FROM new_highs
),

starts AS (
    SELECT
        plans.patient_id,
        plans.day AS start_day,
        plans.tier,
        plans.tier_rank,
        plans.site_id,
        plans.treatment_id,
        plans.record_id
    FROM plans
    CROSS JOIN protocol.rules AS rules
    WHERE NOT (plans.is_flagged_later_stage AND plans.day - plans.plan_start_day <= rules.planned_stage_days)
),

followed AS (
    SELECT
        starts.*,
        follow_up.death_day,
        follow_up.administrative_end_day,
        follow_up.follow_up_end_day,
        follow_up.follow_up_end_reason
    FROM starts
    INNER JOIN staging.follow_up AS follow_up
        ON starts.patient_id = follow_up.patient_id
    WHERE starts.start_day <= follow_up.follow_up_end_day
),

numbered AS (
    SELECT
        *,
        cast(row_number() OVER (PARTITION BY patient_id ORDER BY start_day) AS INTEGER) AS episode_number,
        lead(start_day) OVER (PARTITION BY patient_id ORDER BY start_day) AS next_start_day,
        lead(tier) OVER (PARTITION BY patient_id ORDER BY start_day) AS next_tier
    FROM followed
),

histories AS (
    SELECT
        numbered.patient_id,
        numbered.start_day,
        cast(count(DISTINCT treatments.tier) AS INTEGER) AS prior_tiers
    FROM numbered
    INNER JOIN staging.treatments AS treatments
        ON numbered.patient_id = treatments.patient_id AND numbered.start_day > treatments.day
    WHERE treatments.is_in_ladder
    GROUP BY numbered.patient_id, numbered.start_day
)

SELECT
    numbered.patient_id || '-' || cast(numbered.episode_number AS VARCHAR) AS episode_id,
    numbered.patient_id,
    numbered.episode_number,
    numbered.tier,
    numbered.tier_rank,
    numbered.start_day,
    numbered.next_start_day,
    numbered.next_tier,
    least(numbered.next_start_day, numbered.follow_up_end_day) AS end_day,
    numbered.episode_number = 1 AS is_index,
    coalesce(numbered.site_id, patients.site_id) AS site_id,
    numbered.treatment_id,
    numbered.record_id AS source_id,
    coalesce(histories.prior_tiers, 0) AS prior_tiers,
    numbered.start_day AS waiting_days,
    numbered.follow_up_end_day,
    numbered.follow_up_end_reason,
    numbered.administrative_end_day,
    numbered.death_day
FROM numbered
INNER JOIN staging.patients AS patients
    ON numbered.patient_id = patients.patient_id
LEFT JOIN histories
    ON numbered.patient_id = histories.patient_id AND numbered.start_day = histories.start_day
