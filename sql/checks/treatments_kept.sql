-- title: Every accepted treatment is staged once
-- target: staging.treatments
-- kind: reconciliation
-- blocking: true
-- meaning: Treatment records were lost or multiplied when they were given their tiers.
WITH staged AS (
    SELECT
        record_id,
        count(*) AS copies
    FROM staging.treatments
    GROUP BY record_id
)

SELECT
    count(*) FILTER (WHERE coalesce(staged.copies, 0) <> 1) AS violations,
    count(*) AS rows_examined
FROM raw.treatments AS treatments
LEFT JOIN staged
    ON treatments.record_id = staged.record_id
