-- title: Events
-- grain: patient_id, day, event
-- rule: Deaths, withdrawals, complications and other events, as the release gave them.
-- source: design, data release (events)
SELECT
    patient_id,
    day,
    event,
    record_id
FROM raw.events
