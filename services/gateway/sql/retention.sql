-- name: old_audit
-- How far a batch of the audit log goes.
SELECT max(recorded_at)
FROM (
    SELECT recorded_at FROM gateway.audit WHERE recorded_at > $1 AND recorded_at < $2 ORDER BY recorded_at LIMIT $3
) AS batch

-- name: forget_audit
-- Forgets who asked for which change, long ago.
DELETE FROM gateway.audit WHERE recorded_at > $1 AND recorded_at <= $2
