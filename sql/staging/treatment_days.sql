-- title: One ladder treatment a day
-- grain: patient_id, day
-- rule: Of several treatments on one day the highest tier counts (fusion > laminectomy > MILD > ESI > conservative);
--   within that tier the smallest treatment_id stands for the day. The day is a planned stage when any record of that
--   tier on that day says so, since one operation may be recorded by several codes.
-- source: protocol.tiers (order of the ladder); same-day rule of the design
WITH ladder AS (
    SELECT
        patient_id,
        day,
        tier,
        tier_rank,
        treatment_id,
        record_id,
        site_id,
        bool_or(is_planned_stage) OVER (PARTITION BY patient_id, day, tier_rank) AS is_planned_stage,
        count(*) OVER (PARTITION BY patient_id, day) > 1 AS has_other_same_day
    FROM staging.treatments
    WHERE is_in_ladder
)

SELECT
    patient_id,
    day,
    tier,
    tier_rank,
    treatment_id,
    record_id,
    site_id,
    is_planned_stage,
    has_other_same_day
FROM ladder
QUALIFY row_number() OVER (PARTITION BY patient_id, day ORDER BY tier_rank DESC, treatment_id ASC) = 1
