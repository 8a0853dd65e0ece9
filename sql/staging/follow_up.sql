-- title: End of follow-up
-- grain: patient_id
-- rule: A patient is followed to the earliest of death, withdrawal, last contact and the data cut. Where several fall
--   on one day, death decides before withdrawal, withdrawal before the data cut, the data cut before the last
--   contact: who is in contact on the day of the data cut was not lost. Nothing recorded after that day counts for an
--   outcome.
-- source: design, failure and time zero; the deciding record is named by table and record
WITH first_events AS (
    SELECT
        patient_id,
        event,
        day,
        record_id
    FROM staging.events
    WHERE event IN ('death', 'withdrawal')
    QUALIFY row_number() OVER (PARTITION BY patient_id, event ORDER BY day, record_id) = 1
),

known_days AS (
    SELECT
        patients.patient_id,
        patients.record_id AS patient_record_id,
        deaths.day AS death_day,
        deaths.record_id AS death_record_id,
        withdrawals.day AS withdrawal_day,
        withdrawals.record_id AS withdrawal_record_id,
        patients.last_contact_day,
        patients.administrative_end_day,
        least(
            deaths.day, withdrawals.day, patients.last_contact_day, patients.administrative_end_day
        ) AS follow_up_end_day
    FROM raw.patients AS patients
    LEFT JOIN first_events AS deaths
        ON patients.patient_id = deaths.patient_id AND deaths.event = 'death'
    LEFT JOIN first_events AS withdrawals
        ON patients.patient_id = withdrawals.patient_id AND withdrawals.event = 'withdrawal'
),

reasons AS (
    SELECT
        *,
        CASE
            WHEN death_day = follow_up_end_day THEN 'death'
            WHEN withdrawal_day = follow_up_end_day THEN 'withdrawal'
            WHEN administrative_end_day = follow_up_end_day THEN 'data cut'
            ELSE 'last contact'
        END AS follow_up_end_reason
    FROM known_days
)

SELECT
    patient_id,
    death_day,
    withdrawal_day,
    last_contact_day,
    administrative_end_day,
    follow_up_end_day,
    follow_up_end_reason,
    CASE WHEN follow_up_end_reason IN ('death', 'withdrawal') THEN 'events' ELSE 'patients' END AS end_source_table,
    CASE follow_up_end_reason
        WHEN 'death' THEN death_record_id
        WHEN 'withdrawal' THEN withdrawal_record_id
        ELSE patient_record_id
    END AS end_source_id
FROM reasons
