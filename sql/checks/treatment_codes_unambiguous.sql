-- title: A code means one tier
-- target: staging.treatments
-- kind: grain
-- blocking: true
-- meaning: The code list names a code twice, so that a treatment given by it would stand twice.
WITH codes AS (
    SELECT
        code_system,
        code,
        count(*) AS copies
    FROM raw.codes
    GROUP BY code_system, code
),

used AS (
    SELECT codes.copies
    FROM raw.treatments AS treatments
    INNER JOIN staging.treatments AS staged
        ON treatments.treatment_id = staged.treatment_id
    INNER JOIN codes
        ON treatments.code_system = codes.code_system AND treatments.code = codes.code
)

SELECT
    count(*) FILTER (WHERE copies > 1) AS violations,
    count(*) AS rows_examined
FROM used
