-- name: enqueue
-- A scan is to be done; one that already waits moves to the better lane.
INSERT INTO scanner.work AS w (scan_id, lane) VALUES ($1, $2)
ON CONFLICT (scan_id) DO UPDATE SET lane = least(w.lane, excluded.lane)

-- name: claim
-- Leases the next scans: those whose holder went silent first, then by lane and age.
WITH lost AS (
    SELECT scan_id FROM scanner.work
    WHERE leased_until IS NOT NULL AND leased_until < now()
    ORDER BY leased_until
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), due AS (
    SELECT scan_id FROM scanner.work
    WHERE leased_until IS NULL AND due_at <= now()
    ORDER BY lane, due_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), next AS (
    SELECT scan_id FROM lost UNION ALL SELECT scan_id FROM due LIMIT $3
)
UPDATE scanner.work AS w
SET owner = $1, leased_until = now() + make_interval(secs => $2), fence = w.fence + 1, attempts = w.attempts + 1
FROM next
WHERE w.scan_id = next.scan_id
RETURNING w.scan_id, w.fence, w.attempts, w.lane

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
SET leased_until = NULL, owner = '', due_at = now() + make_interval(secs => $3), attempts = attempts - $4::int
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
SET lane = least(lane, $2)
WHERE lane > $2
    AND (scan_id = $1 OR scan_id IN (SELECT scan_id FROM scanner.scan_part WHERE index_id = $1))

-- name: announce_work
-- Wakes idle workers once this transaction is committed.
SELECT pg_notify('drydock_scanner_work', '')
