-- title: Rows read are rows accepted and rows quarantined
-- target: quality.ingest_counts
-- kind: reconciliation
-- blocking: true
-- meaning: Rows of the release were lost or counted twice on the way in: read is not accepted plus quarantined.
SELECT
    count(*) FILTER (WHERE rows_read <> rows_accepted + rows_quarantined) AS violations,
    count(*) AS rows_examined
FROM quality.ingest_counts
