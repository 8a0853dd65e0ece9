-- title: Rows of the source are rows used and rows set aside
-- target: quality.source_counts
-- kind: reconciliation
-- blocking: true
-- meaning: Rows of the source were lost or counted twice: those used, quarantined and set aside are not all that was
--   read.
WITH tables AS (
    SELECT
        source_table,
        min(rows_read) AS fewest_read,
        max(rows_read) AS most_read,
        sum(row_count) AS accounted_for
    FROM quality.source_counts
    GROUP BY source_table
)

SELECT
    count(*) FILTER (WHERE fewest_read <> most_read OR accounted_for <> most_read) AS violations,
    count(*) AS rows_examined
FROM tables
