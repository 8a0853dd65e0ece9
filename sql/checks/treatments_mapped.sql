-- title: Every treatment has a tier or a known code
-- target: staging.treatments
-- kind: coverage
-- blocking: false
-- meaning: A treatment has no tier and a code that the code list does not hold (or no longer maps); it is kept
--   outside the ladder.
SELECT
    count(*) FILTER (WHERE treatments.tier IS NULL AND codes.tier IS NULL) AS violations,
    count(*) AS rows_examined
FROM raw.treatments AS treatments
INNER JOIN staging.treatments AS staged
    ON treatments.treatment_id = staged.treatment_id
LEFT JOIN raw.codes AS codes
    ON treatments.code_system = codes.code_system AND treatments.code = codes.code
