-- name: old_deliveries
-- How far a batch of deliveries goes that ended long ago.
SELECT max(finished_at)
FROM (
    SELECT finished_at FROM notifier.delivery WHERE finished_at > $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3
) AS batch

-- name: forget_deliveries
-- Forgets deliveries that ended long ago, of events that no bus can bring again.
DELETE FROM notifier.delivery WHERE finished_at > $1 AND finished_at <= $2

-- name: old_inquiries
-- How far a batch of questions goes that were answered long ago.
SELECT max(ended_at)
FROM (
    SELECT ended_at FROM notifier.inquiry WHERE ended_at > $1 AND ended_at < $2 ORDER BY ended_at LIMIT $3
) AS batch

-- name: forget_inquiries
-- Forgets questions that were answered long ago, on events that no bus can bring again.
DELETE FROM notifier.inquiry WHERE ended_at > $1 AND ended_at <= $2

-- name: old_event_records
-- How far a batch of records goes that are old.
SELECT max(created_at)
FROM (
    SELECT created_at FROM notifier.event_record WHERE created_at > $1 AND created_at < $2 ORDER BY created_at LIMIT $3
) AS batch

-- name: forget_event_records
-- Forgets old records of event rules.
DELETE FROM notifier.event_record WHERE created_at > $1 AND created_at <= $2
