-- title: Every assessment is of an instrument and unit of the protocol
-- target: staging.assessments
-- kind: coverage
-- blocking: false
-- meaning: Assessments of instruments or in units that the protocol does not name are left out of everything that
--   follows.
SELECT
    count(*) FILTER (WHERE staged.record_id IS NULL) AS violations,
    count(*) AS rows_examined
FROM raw.assessments AS assessments
LEFT JOIN staging.assessments AS staged
    ON assessments.record_id = staged.record_id
