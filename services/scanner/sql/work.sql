-- name: enqueue
-- A scan is to be done; one that already waits moves to the better lane.
INSERT INTO scanner.work AS w (scan_id, lane, namespace, turn)
VALUES ($1, $2::smallint, $3::text, scanner.next_turn($2::smallint, $3::text))
ON CONFLICT (scan_id) DO UPDATE SET lane = excluded.lane, turn = excluded.turn
WHERE w.lane > excluded.lane

-- name: claim
-- Leases one scan of these lanes: one whose holder went silent, or else of the first lane in this order in which one
-- waits, by turn and age. The lane's clock goes with the turns that are taken.
WITH lost AS (
    SELECT scan_id FROM scanner.work
    WHERE leased_until IS NOT NULL AND leased_until < now() AND lane = ANY($3::smallint[])
    ORDER BY leased_until
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), due AS (
    SELECT w.scan_id, w.lane, w.turn
    FROM unnest($3::smallint[]) AS wanted (lane)
    CROSS JOIN LATERAL (
        SELECT scan_id, lane, turn FROM scanner.work
        WHERE lane = wanted.lane AND leased_until IS NULL AND turn IS NOT NULL AND due_at <= now()
        ORDER BY turn, created_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS w
    WHERE NOT EXISTS (SELECT FROM lost)
    LIMIT 1
), clocked AS (
    UPDATE scanner.lane AS l SET clock = due.turn FROM due WHERE l.lane = due.lane AND l.clock < due.turn
), next AS (
    SELECT scan_id FROM lost UNION ALL SELECT scan_id FROM due
)
UPDATE scanner.work AS w
SET owner = $1, leased_until = now() + make_interval(secs => $2), fence = w.fence + 1, attempts = w.attempts + 1
FROM next
WHERE w.scan_id = next.scan_id
RETURNING w.scan_id, w.fence, w.attempts, w.lane

-- name: rouse
-- Scans that were put off until now wait their turn again, at most so many at once; returns them.
UPDATE scanner.work AS w
SET turn = scanner.next_turn(w.lane, w.namespace)
WHERE w.scan_id IN (
    SELECT scan_id FROM scanner.work
    WHERE leased_until IS NULL AND turn IS NULL AND due_at <= now()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
RETURNING w.scan_id

-- name: heartbeat
-- Keeps a lease; no row when it was lost or given back.
UPDATE scanner.work
SET leased_until = now() + make_interval(secs => $3)
WHERE scan_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING scan_id

-- name: finish
-- Takes the work away from its holder for good; no row when the lease was lost.
DELETE FROM scanner.work WHERE scan_id = $1 AND fence = $2 RETURNING scan_id

-- name: postpone
-- Gives the lease back until later, and so many attempts with it; no row when it was lost.
UPDATE scanner.work
SET leased_until = NULL, owner = '', due_at = now() + make_interval(secs => $3), turn = NULL,
    attempts = attempts - $4::int
WHERE scan_id = $1 AND fence = $2
RETURNING scan_id

-- name: hand_on
-- Gives the lease back at once for a new beginning elsewhere; no row when it was lost.
UPDATE scanner.work
SET leased_until = NULL, owner = '', attempts = 0
WHERE scan_id = $1 AND fence = $2
RETURNING scan_id

-- name: release
-- Gives an unfinished lease back at once, as if it had not been taken.
UPDATE scanner.work
SET leased_until = NULL, owner = '', attempts = attempts - 1
WHERE scan_id = $1 AND fence = $2

-- name: hasten
-- A scan that others wait for too moves to the better lane, and the platforms of an index with it.
UPDATE scanner.work
SET lane = $2::smallint, turn = CASE WHEN turn IS NOT NULL THEN scanner.next_turn($2::smallint, namespace) END
WHERE lane > $2::smallint
    AND (scan_id = $1 OR scan_id IN (SELECT scan_id FROM scanner.scan_part WHERE index_id = $1))

-- name: announce_work
-- Wakes idle workers once this transaction is committed.
SELECT pg_notify('drydock_scanner_work', '')
