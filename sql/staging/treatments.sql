-- title: Treatments and their tiers
-- grain: treatment_id
-- rule: The tier is the one given, else the one that the code list names for the code. Treatments outside the ladder
--   (interspinous spacers, for one) have tier 'other' and no rank; they are kept and belong to no tier.
-- source: raw.codes (code list), protocol.tiers (order of the ladder)
WITH mapped AS (
    SELECT
        treatments.treatment_id,
        treatments.patient_id,
        treatments.day,
        coalesce(treatments.tier, codes.tier, 'other') AS given_tier,
        coalesce(treatments.planned_stage, FALSE) AS is_planned_stage,
        treatments.site_id,
        treatments.surgeon_id,
        treatments.levels_treated,
        treatments.record_id
    FROM raw.treatments AS treatments
    LEFT JOIN raw.codes AS codes
        ON treatments.code_system = codes.code_system AND treatments.code = codes.code
)

SELECT
    mapped.treatment_id,
    mapped.patient_id,
    mapped.day,
    coalesce(tiers.tier, 'other') AS tier,
    tiers.tier_rank,
    tiers.tier_rank IS NOT NULL AS is_in_ladder,
    mapped.is_planned_stage,
    mapped.site_id,
    mapped.surgeon_id,
    mapped.levels_treated,
    mapped.record_id
FROM mapped
LEFT JOIN protocol.tiers AS tiers
    ON mapped.given_tier = tiers.tier
