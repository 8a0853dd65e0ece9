-- title: From patients to index episodes
-- grain: step, tier
-- rule: Each step keeps or drops patients, counted by the tier of their first ladder treatment on or after enrolment
--   ('none' where there is none). Step 1 is every patient accepted from the release; what remains after the last step
--   are the index episodes.
-- source: design, outcomes.attrition; every exclusion appends a row (habit of CohortMethod)
WITH first_treatments AS (
    SELECT
        patient_id,
        tier,
        day
    FROM staging.treatment_days
    WHERE day >= 0
    QUALIFY row_number() OVER (PARTITION BY patient_id ORDER BY day) = 1
),

judged AS (
    SELECT
        coalesce(first_treatments.tier, 'none') AS tier,
        first_treatments.day IS NOT NULL AS is_treated,
        episodes.episode_id IS NOT NULL AS is_followed
    FROM staging.patients AS patients
    LEFT JOIN first_treatments
        ON patients.patient_id = first_treatments.patient_id
    LEFT JOIN outcomes.episodes AS episodes
        ON patients.patient_id = episodes.patient_id AND episodes.is_index
),

tier_groups AS (
    SELECT tier FROM protocol.tiers
    UNION ALL
    SELECT 'none' AS tier
),

counts AS (
    SELECT
        tier_groups.tier,
        count(judged.tier) AS all_patients,
        count(*) FILTER (WHERE judged.is_treated) AS treated,
        count(*) FILTER (WHERE judged.is_followed) AS followed
    FROM tier_groups
    LEFT JOIN judged
        ON tier_groups.tier = judged.tier
    GROUP BY tier_groups.tier
)

SELECT
    1 AS step,
    tier,
    cast(0 AS BIGINT) AS excluded,
    all_patients AS remaining,
    'patients accepted from the release' AS rule
FROM counts
UNION ALL
SELECT
    2 AS step,
    tier,
    all_patients - treated AS excluded,
    treated AS remaining,
    'no ladder treatment on or after enrolment' AS rule
FROM counts
UNION ALL
SELECT
    3 AS step,
    tier,
    treated - followed AS excluded,
    followed AS remaining,
    'first treatment after the end of follow-up' AS rule
FROM counts
