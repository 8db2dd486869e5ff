-- name: insert_audit
-- Notes who asks for which change, before it is tried.
INSERT INTO gateway.audit (recorded_at, actor, action, instance, subject, request_id)
VALUES ($1, $2, $3, $4, $5::jsonb, $6)
RETURNING record_id

-- name: end_audit
-- Notes how the call ended, once.
UPDATE gateway.audit SET outcome = $2 WHERE record_id = $1 AND outcome = ''

-- name: list_audit
-- A page of records, newest first; no names of an instance mean all.
SELECT record_id, recorded_at, actor, action, instance, subject, outcome, request_id
FROM gateway.audit
WHERE record_id < $1 AND (cardinality($2::text[]) = 0 OR instance = ANY($2::text[]))
ORDER BY record_id DESC
LIMIT $3
