-- title: Every accepted row stands in its raw table
-- target: quality.ingest_counts
-- kind: reconciliation
-- blocking: true
-- meaning: A raw table does not hold as many rows as ingest accepted.
WITH arrived AS (
    SELECT
        'patients' AS table_name,
        count(*) AS rows_arrived
    FROM raw.patients
    UNION ALL
    SELECT
        'treatments' AS table_name,
        count(*) AS rows_arrived
    FROM raw.treatments
    UNION ALL
    SELECT
        'assessments' AS table_name,
        count(*) AS rows_arrived
    FROM raw.assessments
    UNION ALL
    SELECT
        'events' AS table_name,
        count(*) AS rows_arrived
    FROM raw.events
)

SELECT
    count(*) FILTER (WHERE counts.rows_accepted <> arrived.rows_arrived) AS violations,
    count(*) AS rows_examined
FROM quality.ingest_counts AS counts
INNER JOIN arrived
    ON counts.table_name = arrived.table_name
