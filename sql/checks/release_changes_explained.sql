-- title: The release differs from the one before only as expected or explained
-- target: quality.changes
-- kind: reconciliation
-- blocking: false
-- meaning: A quantity moved farther than the protocol's tolerance and nobody has said why; see lss diff.
SELECT
    count(*) FILTER (WHERE verdict = 'beyond') AS violations,
    count(*) FILTER (WHERE verdict <> 'not applicable') AS rows_examined
FROM quality.changes
