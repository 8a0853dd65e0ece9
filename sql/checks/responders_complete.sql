-- title: Every scheduled visit is judged at every threshold
-- target: outcomes.responders
-- kind: reconciliation
-- blocking: true
-- meaning: The judgements of an instrument and window are not as many as its scheduled visits times its thresholds.
WITH thresholds AS (
    SELECT
        instrument,
        count(*) AS thresholds
    FROM protocol.thresholds
    GROUP BY instrument
),

due AS (
    SELECT
        visits.instrument,
        visits.visit_window,
        count(*) * max(thresholds.thresholds) AS expected
    FROM outcomes.scheduled_visits AS visits
    INNER JOIN thresholds
        ON visits.instrument = thresholds.instrument
    GROUP BY visits.instrument, visits.visit_window
),

judged AS (
    SELECT
        instrument,
        visit_window,
        count(*) AS judged
    FROM outcomes.responders
    GROUP BY instrument, visit_window
)

SELECT
    count(*) FILTER (WHERE coalesce(judged.judged, 0) <> due.expected) AS violations,
    count(*) AS rows_examined
FROM due
LEFT JOIN judged
    ON due.instrument = judged.instrument AND due.visit_window = judged.visit_window
