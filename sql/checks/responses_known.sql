-- title: Every response is one of five words with its reason
-- target: outcomes.responders
-- kind: range
-- blocking: true
-- meaning: A judgement has a word that no analysis counts, or no reason.
SELECT
    count(*) FILTER (
        WHERE
        response IS NULL
        OR response NOT IN ('responder', 'non-responder', 'missing', 'excluded', 'died')
        OR reason IS NULL
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.responders
