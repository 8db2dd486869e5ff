-- name: target_of
-- Id of a target by id or name; it cannot be deleted until the transaction ends.
SELECT target_id FROM notifier.target WHERE target_id = $1 OR name = $1 FOR KEY SHARE

-- name: subscriptions
-- What some targets are told of; those that were never given anything are missing.
SELECT target_id, occasions, min_severity, new_only, instances, namespaces, repositories, tag_pattern, window_seconds
FROM notifier.subscription
WHERE target_id = ANY($1::text[])

-- name: set_subscription
-- Replaces what a target is told of.
INSERT INTO notifier.subscription (
    target_id, occasions, min_severity, new_only, instances, namespaces, repositories, tag_pattern, window_seconds,
    updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (target_id) DO UPDATE
SET occasions = $2, min_severity = $3, new_only = $4, instances = $5, namespaces = $6, repositories = $7,
    tag_pattern = $8, window_seconds = $9, updated_at = $10

-- name: insert_inquiries
-- Adds questions, each event once; the same event again changes nothing, answered or not. Their ages go by the clock
-- of the database, as their leases do.
INSERT INTO notifier.inquiry (event_id, target_ids, event, traceparent, due_at, created_at)
SELECT event_id, string_to_array(target_ids, ','), event, traceparent, now(), now()
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[]) AS q (event_id, target_ids, event, traceparent)
ORDER BY event_id
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id

-- name: wake
-- Tells, at commit, those who wait on a channel.
SELECT pg_notify($1, '')

-- name: claim_inquiries
-- Leases questions whose time has come, longest waiting first.
UPDATE notifier.inquiry AS q
SET lease_until = now() + make_interval(secs => $1), attempts = q.attempts + 1
FROM (
    SELECT event_id FROM notifier.inquiry
    WHERE ended_at IS NULL AND due_at <= now() AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY due_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
) AS due
WHERE q.event_id = due.event_id
RETURNING q.event_id, q.target_ids, q.event, q.traceparent, q.attempts,
    extract(epoch FROM now() - q.created_at)::float8 AS age_seconds

-- name: postpone_inquiry
-- Gives a question back for so long.
UPDATE notifier.inquiry
SET due_at = now() + make_interval(secs => $2), lease_until = NULL
WHERE event_id = $1 AND ended_at IS NULL

-- name: end_inquiry
-- Ends a question once: whoever comes second finds no row.
UPDATE notifier.inquiry
SET ended_at = $2, answer = $3, event = '', lease_until = NULL
WHERE event_id = $1 AND ended_at IS NULL
RETURNING event_id
