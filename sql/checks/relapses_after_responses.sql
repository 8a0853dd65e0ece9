-- title: A relapse comes after the response and the last visit without it
-- target: outcomes.symptom_relapses
-- kind: range
-- blocking: true
-- meaning: The visits that bracket a response and a relapse are out of order.
SELECT
    count(*) FILTER (
        WHERE
        response_lower_day < start_day
        OR response_day <= response_lower_day
        OR last_free_day < response_day
        OR coalesce(relapse_day <= last_free_day, FALSE)
    ) AS violations,
    count(*) AS rows_examined
FROM outcomes.symptom_relapses
