-- name: insert_scan
-- Saves a scan once; the same id again changes nothing.
INSERT INTO scanner.scan
    (scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, advisories_version, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'PENDING')
ON CONFLICT (scan_id) DO NOTHING

-- name: lock_scan
-- One scan, locked against everyone who would change its state.
SELECT scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, state, reason, message,
    coverage, findings, advisories_version
FROM scanner.scan
WHERE scan_id = $1
FOR UPDATE

-- name: reopen_scan
-- A scan that failed for a cause that may have passed begins anew, from the repository that asks now.
UPDATE scanner.scan
SET state = 'PENDING', reason = '', message = '', ended_at = NULL, namespace = $2, repository = $3
WHERE scan_id = $1

-- name: change_scan
-- Moves a scan to a state that is not an end.
UPDATE scanner.scan SET state = $2, reason = $3, message = $4 WHERE scan_id = $1

-- name: name_platform
-- The platform of a scan is known.
UPDATE scanner.scan SET platform = $2 WHERE scan_id = $1

-- name: end_scan
-- Ends a scan.
UPDATE scanner.scan
SET state = $2, reason = $3, message = $4, coverage = $5, findings = $6, advisories_version = $7, ended_at = $8
WHERE scan_id = $1

-- name: insert_part
-- A platform of an index.
INSERT INTO scanner.scan_part (index_id, scan_id, platform, position)
VALUES ($1, $2, $3, $4)
ON CONFLICT (index_id, scan_id) DO NOTHING

-- name: indexes_of
-- Open indexes that a scan is a part of, locked in an order that is the same for all.
SELECT s.scan_id
FROM scanner.scan AS s
WHERE s.scan_id IN (SELECT index_id FROM scanner.scan_part WHERE scan_id = $1) AND s.ended_at IS NULL
ORDER BY s.scan_id
FOR UPDATE

-- name: parts_of
-- The scans of an index, or a single image's own scan, in the index's order.
SELECT s.scan_id, coalesce(p.platform, s.platform) AS platform, s.digest, s.state, s.reason, s.message, s.coverage,
    s.findings, s.advisories_version
FROM scanner.scan AS s
LEFT JOIN scanner.scan_part AS p ON p.scan_id = s.scan_id AND p.index_id = $1
WHERE s.scan_id IN (SELECT scan_id FROM scanner.scan_part WHERE index_id = $1)
    OR (s.scan_id = $1 AND NOT EXISTS (SELECT 1 FROM scanner.scan_part WHERE index_id = $1))
ORDER BY p.position

-- name: put_report
-- Stores a report; it replaces the one of an earlier attempt.
INSERT INTO scanner.report (scan_id, content) VALUES ($1, $2)
ON CONFLICT (scan_id) DO UPDATE SET content = excluded.content, created_at = now()

-- name: reports
-- Reports of scans.
SELECT scan_id, content FROM scanner.report WHERE scan_id = ANY($1::uuid[])

-- name: repositories_of
-- Repositories whose open tasks wait for a scan, by itself or as a platform of an index.
SELECT DISTINCT namespace, repository
FROM scanner.task
WHERE ended_at IS NULL
    AND (scan_id = $1 OR scan_id IN (SELECT index_id FROM scanner.scan_part WHERE scan_id = $1))
ORDER BY namespace, repository
