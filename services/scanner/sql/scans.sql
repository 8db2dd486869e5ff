-- name: hold_scan
-- Saves a scan once; one that is there is locked and stays as it is, also against who would delete it.
INSERT INTO scanner.scan AS s
    (scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, advisories_version, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'PENDING')
ON CONFLICT (scan_id) DO UPDATE SET state = s.state WHERE false

-- name: scans
-- Scans, which the caller holds.
SELECT scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, begun, state, reason,
    message, coverage, findings, advisories_version, lender
FROM scanner.scan
WHERE scan_id = ANY($1::uuid[])

-- name: lock_scan
-- One scan, locked against everyone who would change its state.
SELECT scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, begun, state, reason,
    message, coverage, findings, advisories_version, lender
FROM scanner.scan
WHERE scan_id = $1
FOR UPDATE

-- name: restart_scan
-- A scan is to be done anew, or elsewhere: from that repository. A failed one has forgotten its advisories' version.
UPDATE scanner.scan
SET state = 'PENDING', reason = '', message = '', ended_at = NULL, namespace = $2, repository = $3,
    advisories_version = $4
WHERE scan_id = $1

-- name: begin_scan
-- An attempt begins, with the access of the instance where anybody who waits for it in its repository has no other, else
-- with the loan that came last. Returns that loan. The caller holds the locks of the scan and of its indexes ($2, itself
-- among them), so that no task joins meanwhile.
UPDATE scanner.scan AS s
SET state = 'RUNNING', reason = '', message = '', begun = nextval('scanner.turn'), lender = (
    SELECT CASE WHEN t.loan IS NOT NULL THEN t.task_id END
    FROM scanner.task AS t
    WHERE t.scan_id = ANY($2::uuid[]) AND t.ended_at IS NULL
        AND (t.namespace, t.repository) = (s.namespace, s.repository)
    ORDER BY t.loan IS NOT NULL, t.joined DESC
    LIMIT 1
)
WHERE s.scan_id = $1
RETURNING s.lender, (SELECT loan FROM scanner.task WHERE task_id = s.lender) AS loan

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
-- Indexes that a scan is a part of, and as what.
SELECT index_id, platform FROM scanner.scan_part WHERE scan_id = $1

-- name: lock_read_indexes
-- Those of some indexes that have not ended and are not to be read, again, locked in an order that is the same for all:
-- the parts of the others are those of an earlier time. No join: through one, PostgreSQL loses rows of a table in
-- partitions that somebody else had locked and changed.
SELECT scan_id
FROM scanner.scan
WHERE scan_id = ANY($1::uuid[]) AND ended_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM scanner.work WHERE work.scan_id = scan.scan_id)
ORDER BY scan_id
FOR UPDATE

-- name: parts_of
-- The scans of an index, or a single image's own scan, in the index's order; those of one platform by engine.
SELECT s.scan_id, s.engine, coalesce(p.platform, s.platform) AS platform, s.digest, s.state, s.reason, s.message, s.coverage,
    s.findings, s.advisories_version
FROM scanner.scan AS s
LEFT JOIN scanner.scan_part AS p ON p.scan_id = s.scan_id AND p.index_id = $1
WHERE s.scan_id IN (SELECT scan_id FROM scanner.scan_part WHERE index_id = $1)
    OR (s.scan_id = $1 AND NOT EXISTS (SELECT 1 FROM scanner.scan_part WHERE index_id = $1))
ORDER BY p.position, s.engine

-- name: put_report
-- Stores a report; it replaces the one of an earlier attempt.
INSERT INTO scanner.report (scan_id, content, inventory, verdict, generation, beside) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (scan_id) DO UPDATE
SET content = excluded.content, created_at = now(), inventory = excluded.inventory, verdict = excluded.verdict,
    generation = excluded.generation, beside = excluded.beside, stale = ''

-- name: reports
-- Reports of scans, each with what later advisories say of its inventory, and which are the youngest of its engine.
SELECT r.scan_id, r.content, r.stale, v.content AS later, v.advisories_version, v.built_at, v.sample, v.facts_at,
    v.judged_at, split_part(g.version, ';', 1) AS newest, g.built_at AS newest_at
FROM scanner.report AS r
JOIN scanner.scan AS s ON s.scan_id = r.scan_id
LEFT JOIN LATERAL (
    SELECT version, built_at FROM scanner.generation WHERE engine = s.engine ORDER BY generation DESC LIMIT 1
) AS g ON true
LEFT JOIN scanner.verdict AS v
    ON v.inventory = r.inventory AND v.verdict = r.verdict AND v.generation > r.generation
WHERE r.scan_id = ANY($1::uuid[])
