-- title: The attrition starts with every patient
-- target: outcomes.attrition
-- kind: reconciliation
-- blocking: true
-- meaning: The first step does not count every accepted patient once.
WITH counted AS (
    SELECT sum(remaining) AS patients
    FROM outcomes.attrition
    WHERE step = 1
),

accepted AS (
    SELECT count(*) AS patients
    FROM raw.patients
)

SELECT
    CASE WHEN coalesce(counted.patients, 0) <> accepted.patients THEN 1 ELSE 0 END AS violations,
    accepted.patients AS rows_examined
FROM counted
CROSS JOIN accepted
