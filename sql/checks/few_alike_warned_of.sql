-- title: No patient group is smaller than the protocol wants
-- target: quality.anonymity
-- kind: disclosure
-- blocking: false
-- meaning: Patients are in groups smaller than the protocol wants; quality.anonymity says what to coarsen.
SELECT
    coalesce(sum(patients_below), 0) AS violations,
    coalesce(sum(patients), 0) AS rows_examined
FROM quality.anonymity
WHERE left_out = 'nothing' AND action = 'warn'
