-- title: No more visits are observed than expected
-- target: outcomes.completeness
-- kind: range
-- blocking: true
-- meaning: More visits are counted as observed than were expected, or nobody was expected.
SELECT
    count(*) FILTER (WHERE observed < 0 OR observed > expected OR expected < 1) AS violations,
    count(*) AS rows_examined
FROM outcomes.completeness
