-- title: Values lie within the range of their instrument
-- target: staging.assessments
-- kind: range
-- blocking: true
-- meaning: A value in standard units lies outside the range that the protocol gives its instrument.
SELECT
    count(*) FILTER (
        WHERE
        assessments.value IS NULL
        OR round(assessments.value - instruments.minimum, 6) < 0
        OR round(assessments.value - instruments.maximum, 6) > 0
    ) AS violations,
    count(*) AS rows_examined
FROM staging.assessments AS assessments
INNER JOIN protocol.instruments AS instruments
    ON assessments.instrument = instruments.instrument
