-- title: The record that decided each row exists
-- target: outcomes.time_to_event
-- kind: reconciliation
-- blocking: true
-- meaning: A row names a record that decided it, and the release has no such record of this patient.
WITH records AS (
    SELECT
        'treatments' AS source_table,
        patient_id,
        record_id
    FROM raw.treatments
    UNION ALL
    SELECT
        'events' AS source_table,
        patient_id,
        record_id
    FROM raw.events
    UNION ALL
    SELECT
        'assessments' AS source_table,
        patient_id,
        record_id
    FROM raw.assessments
    UNION ALL
    SELECT
        'patients' AS source_table,
        patient_id,
        record_id
    FROM raw.patients
)

SELECT
    count(*) FILTER (
        WHERE times.source_id IS NULL OR (times.source_table <> 'protocol' AND records.record_id IS NULL)
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.time_to_event AS times
LEFT JOIN records
    ON
        times.source_table = records.source_table
        AND times.source_id = records.record_id
        AND times.patient_id = records.patient_id
