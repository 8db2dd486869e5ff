-- name: insert_target
-- Saves a target; no row comes back when its name is taken.
INSERT INTO notifier.target (
    target_id, name, kind, sealed_url, sealed_secret, format, ca_certificates, robot, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (name) DO NOTHING
RETURNING target_id

-- name: list_targets
-- A page of targets by name.
SELECT target_id, name, kind, sealed_url, sealed_secret, sealed_old_secret, old_secret_until, format,
    ca_certificates, robot, slow, created_at
FROM notifier.target
WHERE name > $1
ORDER BY name
LIMIT $2

-- name: targets_of
-- These targets.
SELECT target_id, name, kind, sealed_url, sealed_secret, sealed_old_secret, old_secret_until, format,
    ca_certificates, robot, slow, created_at
FROM notifier.target
WHERE target_id = ANY($1::text[])

-- name: find_target
-- A target by id or name.
SELECT target_id, name, kind, sealed_url, sealed_secret, sealed_old_secret, old_secret_until, format,
    ca_certificates, robot, slow, created_at
FROM notifier.target
WHERE target_id = $1 OR name = $1

-- name: lock_target
-- A target by id or name; nobody else changes or deletes it until the transaction ends.
SELECT target_id, name, kind, sealed_url, sealed_secret, sealed_old_secret, old_secret_until, format,
    ca_certificates, robot, slow, created_at
FROM notifier.target
WHERE target_id = $1 OR name = $1
FOR NO KEY UPDATE

-- name: update_target
-- Writes what may change of a target.
UPDATE notifier.target
SET sealed_url = $2, sealed_secret = $3, sealed_old_secret = $4, old_secret_until = $5, format = $6,
    ca_certificates = $7, robot = $8
WHERE target_id = $1

-- name: existing_targets
-- Which of these targets exist just now.
SELECT target_id FROM notifier.target WHERE target_id = ANY($1::text[])

-- name: lock_plain_urls
-- Some targets whose URL an older release left plain.
SELECT target_id, url FROM notifier.target WHERE sealed_url IS NULL ORDER BY target_id LIMIT $1 FOR UPDATE

-- name: seal_url
-- Puts the sealed URL in the place of the plain one.
UPDATE notifier.target SET sealed_url = $2, url = '' WHERE target_id = $1

-- name: delete_target
-- Deletes a target by id or name.
DELETE FROM notifier.target WHERE target_id = $1 OR name = $1 RETURNING target_id

-- name: cancel_deliveries
-- Ends what is under way to a target; whoever is sending just now finds the fence moved.
UPDATE notifier.delivery
SET state = 'CANCELLED', reason = 'TARGET_DELETED', message = 'The target was deleted.', fence = fence + 1,
    lease_owner = NULL, lease_until = NULL, finished_at = $2
WHERE target_id = $1 AND state IN ('PENDING', 'HELD')

-- name: living_targets
-- Which of these targets exist; they cannot be deleted until the transaction ends.
SELECT target_id FROM notifier.target WHERE target_id = ANY($1::text[]) ORDER BY target_id FOR KEY SHARE

-- name: insert_deliveries
-- Adds deliveries, each (target, event) once, in the given order; returns the new ones.
-- One with a window is held until that ends: windows are laid end to end from the epoch on.
INSERT INTO notifier.delivery (
    target_id, event_id, delivery_id, event_type, body, traceparent, state, due_at, created_at
)
SELECT target_id, event_id, delivery_id, event_type, body, traceparent,
    CASE WHEN span > 0 THEN 'HELD' ELSE 'PENDING' END,
    CASE WHEN span > 0 THEN to_timestamp((floor(extract(epoch FROM now()) / span) + 1) * span) ELSE now() END,
    $6
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $7::text[], $8::int[]) WITH ORDINALITY
    AS d (target_id, event_id, delivery_id, event_type, body, traceparent, span, n)
ORDER BY n
ON CONFLICT (target_id, event_id) DO NOTHING
RETURNING delivery_id

-- name: wake_workers
-- Tells workers, at commit, that there is something to deliver.
SELECT pg_notify('drydock_deliveries', '')

-- name: claim
-- Leases due deliveries, but for those that robots are told merged: of each target at most so many at once over
-- all workers, longest waiting target first. Slow targets have one under way and so many places together.
-- Leases and due times go by the clock of the database: those of the workers' machines may differ.
WITH open AS (
    SELECT t.target_id, t.served_at, t.slow,
        CASE WHEN t.slow THEN 1 ELSE $3::int END - (
            SELECT count(*)
            FROM notifier.delivery AS b
            WHERE b.target_id = t.target_id AND b.state = 'PENDING' AND b.lease_until > now()
        ) AS room
    FROM notifier.target AS t
    WHERE t.robot IS NULL AND EXISTS (
        SELECT 1
        FROM notifier.delivery AS d
        WHERE d.target_id = t.target_id AND d.state = 'PENDING' AND d.due_at <= now()
            AND (d.lease_until IS NULL OR d.lease_until <= now())
    )
), ranked AS (
    SELECT target_id, served_at, slow, room,
        row_number() OVER (PARTITION BY slow ORDER BY served_at NULLS FIRST, target_id) AS place
    FROM open
    WHERE room > 0
), chosen AS (
    SELECT t.target_id, o.room, o.served_at
    FROM ranked AS o
    JOIN notifier.target AS t USING (target_id)
    WHERE NOT o.slow OR o.place <= $5
    ORDER BY o.slow, o.served_at NULLS FIRST, t.target_id
    LIMIT $4
    -- Keeps workers from taking the same target at one moment; a deletion waits.
    FOR NO KEY UPDATE OF t SKIP LOCKED
), due AS (
    SELECT c.target_id, d.event_id, d.lost
    FROM chosen AS c
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.lease_owner IS NOT NULL AS lost
        FROM notifier.delivery AS e
        WHERE e.target_id = c.target_id AND e.state = 'PENDING' AND e.due_at <= now()
            AND (e.lease_until IS NULL OR e.lease_until <= now())
        ORDER BY e.due_at, e.event_id
        LIMIT c.room
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $4
), served AS (
    UPDATE notifier.target AS t SET served_at = now() FROM due WHERE t.target_id = due.target_id
)
UPDATE notifier.delivery AS d
SET lease_owner = $1, lease_until = now() + make_interval(secs => $2), fence = d.fence + 1, attempts = d.attempts + 1
FROM due
WHERE d.target_id = due.target_id AND d.event_id = due.event_id
RETURNING d.target_id, d.event_id, d.delivery_id, d.event_type, d.body, d.attempts, d.fence,
    coalesce(d.counted_from, d.created_at) AS created_at, d.traceparent, due.lost

-- name: mark_slow
-- Says whether the last attempt to a target took long.
UPDATE notifier.target SET slow = $2 WHERE target_id = $1 AND slow <> $2

-- name: finish
-- Ends a delivery, unless the lease has passed to somebody else.
UPDATE notifier.delivery
SET state = $4, reason = $5, message = $6, lease_owner = NULL, lease_until = NULL, finished_at = $7
WHERE target_id = $1 AND event_id = $2 AND fence = $3 AND state = 'PENDING'
RETURNING delivery_id

-- name: postpone
-- Gives a lease back with the pause before the next attempt, unless it has passed to somebody else.
UPDATE notifier.delivery
SET due_at = now() + make_interval(secs => $4), reason = $5, message = $6, lease_owner = NULL, lease_until = NULL
WHERE target_id = $1 AND event_id = $2 AND fence = $3 AND state = 'PENDING'
RETURNING delivery_id

-- name: insert_receipt
-- Adds what became of one attempt.
INSERT INTO notifier.receipt (
    delivery_id, target_id, event_id, attempt, outcome, reason, message, http_status, milliseconds, excerpt,
    created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
