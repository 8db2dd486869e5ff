-- name: put_inventory
-- A report rests on this inventory, judged by a version of advisories. If that is none of the youngest it is to be
-- matched again, and so is what somebody matches at this moment. Returns the generation of that version.
WITH judged AS (
    SELECT coalesce(
        (SELECT generation FROM scanner.generation WHERE engine = 'SECURITY_CENTER' AND version = $3), 0
    ) AS generation
)
INSERT INTO scanner.inventory AS i (digest, content, generation)
SELECT $1, $2, generation FROM judged
ON CONFLICT (digest) DO UPDATE
SET generation = least(i.generation, excluded.generation),
    touched = i.touched + (
        excluded.generation < coalesce(
            (SELECT max(generation) FROM scanner.generation WHERE engine = 'SECURITY_CENTER'), 0
        )
    )::int
RETURNING (SELECT generation FROM judged)

-- name: enter_generation
-- Advisories of an engine are there; they count from now on if they are younger than all that were, or if a later matcher
-- is held against the same: that has the greater name.
INSERT INTO scanner.generation (engine, version, built_at)
SELECT $1, $2, $3
WHERE NOT EXISTS (
    SELECT FROM scanner.generation
    WHERE engine = $1 AND (version = $2 OR built_at > $3 OR (built_at = $3 AND version COLLATE "C" > $2))
)
ON CONFLICT (engine, version) DO NOTHING

-- name: newest_generation
-- The youngest advisories of an engine, and what is left to be done with them.
SELECT generation, version, built_at, ended_at IS NOT NULL AS ended, unmarked
FROM scanner.generation
WHERE engine = $1
ORDER BY generation DESC
LIMIT 1

-- name: claim_inventories
-- Takes inventories that lag behind a generation, for so many seconds.
UPDATE scanner.inventory
SET due_at = now() + make_interval(secs => $3)
WHERE digest IN (
    SELECT digest FROM scanner.inventory
    WHERE generation < $1 AND due_at <= now()
    ORDER BY generation, due_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING digest, content, touched

-- name: give_back_inventories
-- Somebody else may take these at once.
UPDATE scanner.inventory SET due_at = now() WHERE digest = ANY($1::text[])

-- name: lagging_inventories
-- How many inventories lag behind a generation.
SELECT count(*) FROM scanner.inventory WHERE generation < $1

-- name: groups_of_inventories
-- The answers that reports rest on which were judged by an older generation, each with one of the reports.
SELECT inventory, verdict, stale <> '' AS stale, min(scan_id::text) AS scan_id
FROM scanner.report
WHERE inventory = ANY($1::text[]) AND generation < $2
GROUP BY inventory, verdict, stale <> ''

-- name: lock_inventories
-- Inventories that lag behind, which nobody adds a report to until the transaction ends; in one order for all.
SELECT digest FROM scanner.inventory WHERE digest = ANY($1::text[]) AND generation < $2 ORDER BY digest FOR UPDATE

-- name: put_verdict
-- A generation gave this answer; whoever has no content leaves it as it is.
INSERT INTO scanner.verdict AS v
    (inventory, verdict, content, generation, advisories_version, built_at, sample, facts_at, judged_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (inventory, verdict) DO UPDATE
SET content = coalesce(v.content, excluded.content), generation = excluded.generation,
    advisories_version = excluded.advisories_version, built_at = excluded.built_at, sample = excluded.sample,
    facts_at = excluded.facts_at, judged_at = excluded.judged_at
WHERE v.generation < excluded.generation OR v.content IS NULL

-- name: reports_of_verdict
-- Some reports that rest on an answer, judged by an older generation, in the order of their scans.
SELECT scan_id, beside
FROM scanner.report
WHERE inventory = $1 AND verdict = $2 AND (stale <> '') = $3 AND generation < $4 AND scan_id > $5
ORDER BY scan_id
LIMIT $6

-- name: indexes_of_scans
-- Indexes that scans are parts of, those that failed left out.
SELECT p.scan_id, p.index_id, s.ended_at IS NULL AS is_open
FROM scanner.scan_part AS p
JOIN scanner.scan AS s ON s.scan_id = p.index_id
WHERE p.scan_id = ANY($1::uuid[]) AND s.state <> 'FAILED'

-- name: shown_scans
-- Those scans that the newest complete task of some image has: what others have is history.
SELECT DISTINCT t.scan_id
FROM scanner.task AS t
WHERE t.scan_id = ANY($1::uuid[]) AND t.state = 'COMPLETE'
    AND NOT EXISTS (
        SELECT FROM scanner.task AS n
        WHERE n.repo_id = t.repo_id AND n.tag = t.tag AND n.digest = t.digest AND n.engine = t.engine
            AND n.state = 'COMPLETE' AND (n.created_at, n.task_id) > (t.created_at, t.task_id)
    )

-- name: move_reports
-- Reports rest on another answer from now on, if nobody has seen to it yet.
UPDATE scanner.report SET verdict = $4, stale = ''
WHERE scan_id = ANY($1::uuid[]) AND verdict = $2 AND (stale <> '') = $3
RETURNING scan_id

-- name: rejudge_scans
-- How scans stand by newer advisories.
UPDATE scanner.scan AS s
SET coverage = w.coverage, reason = w.reason, message = w.message, findings = w.findings,
    advisories_version = w.advisories_version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[])
    AS w (scan_id, coverage, reason, message, findings, advisories_version)
WHERE s.scan_id = w.scan_id

-- name: rejudge_tasks
-- How the complete tasks of scans stand by newer advisories; whether one is the newest of its image, and whether its tag
-- has another digest by now.
UPDATE scanner.task AS t
SET coverage = w.coverage, reason = w.reason, message = w.message, findings = w.findings,
    advisories_version = w.advisories_version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[])
    AS w (scan_id, coverage, reason, message, findings, advisories_version)
WHERE t.scan_id = w.scan_id AND t.state = 'COMPLETE'
RETURNING t.task_id, t.instance_id, t.repo_id, t.namespace, t.repository, t.tag, t.digest, t.engine, t.scan_id, t.state,
    t.reason, t.message, t.coverage, t.findings, t.advisories_version, t.rule_ids, t.target_ids, t.traceparent,
    t.run_id, t.created_at, t.ended_at,
    NOT EXISTS (
        SELECT FROM scanner.task AS n
        WHERE n.repo_id = t.repo_id AND n.tag = t.tag AND n.digest = t.digest AND n.engine = t.engine
            AND n.state = 'COMPLETE' AND (n.created_at, n.task_id) > (t.created_at, t.task_id)
    ) AS newest,
    t.tag <> '' AND NOT EXISTS (
        SELECT FROM scanner.tag AS g WHERE g.repo_id = t.repo_id AND g.tag = t.tag AND g.digest = t.digest
    ) AS superseded

-- name: date_tasks
-- Nothing is different about these scans, and about indexes that they are parts of, by newer advisories. Where the other
-- engine scanned as well, its advisories stand behind these (`tasks/verdict.py`).
UPDATE scanner.task AS t
SET advisories_version = CASE t.engine WHEN $3 THEN $2 ELSE concat_ws('; ', $2, (
    SELECT nullif(max(o.advisories_version), $2)
    FROM scanner.scan_part AS p
    JOIN scanner.scan AS o ON o.scan_id = p.scan_id
    WHERE p.index_id = t.scan_id AND o.engine <> $3 AND o.state = 'COMPLETE'
)) END
WHERE t.state = 'COMPLETE' AND t.engine IN ($3, 'ALL') AND t.advisories_version <> $2
    AND t.scan_id IN (
        SELECT scan_id FROM unnest($1::uuid[]) AS w (scan_id)
        UNION ALL SELECT index_id FROM scanner.scan_part WHERE scan_id = ANY($1::uuid[])
    )
    AND NOT EXISTS (
        SELECT FROM scanner.task AS n
        WHERE n.repo_id = t.repo_id AND n.tag = t.tag AND n.digest = t.digest AND n.engine = t.engine
            AND n.state = 'COMPLETE' AND (n.created_at, n.task_id) > (t.created_at, t.task_id)
    )

-- name: finish_inventories
-- All reports that rest on these were judged by this generation, unless one came in since they were taken: then they are
-- due.
UPDATE scanner.inventory AS i
SET generation = CASE WHEN i.touched = w.touched THEN $3 ELSE i.generation END, due_at = now()
FROM unnest($1::text[], $2::int[]) AS w (digest, touched)
WHERE i.digest = w.digest

-- name: drop_verdicts
-- Forgets answers that no report rests on.
DELETE FROM scanner.verdict AS v
WHERE v.inventory = ANY($1::text[])
    AND NOT EXISTS (SELECT FROM scanner.report AS r WHERE r.inventory = v.inventory AND r.verdict = v.verdict)

-- name: drop_inventories
-- Forgets those inventories, which the caller has locked, that no report rests on.
DELETE FROM scanner.inventory AS i
WHERE i.digest = ANY($1::text[]) AND NOT EXISTS (SELECT FROM scanner.report AS r WHERE r.inventory = i.digest)

-- name: count_generation
-- What was done for a generation since it was last counted.
UPDATE scanner.generation
SET inventories = inventories + $2, failed = failed + $3, images = images + $4, events = events + $5
WHERE generation = $1

-- name: marked_generation
-- Reports that cannot be matched again are marked.
UPDATE scanner.generation SET unmarked = false WHERE generation = $1

-- name: end_generation
-- Every inventory was matched; one row for whoever notices first.
UPDATE scanner.generation
SET ended_at = now()
WHERE generation = $1 AND ended_at IS NULL AND NOT unmarked
    AND NOT EXISTS (SELECT FROM scanner.inventory AS i WHERE i.generation < $1)
RETURNING inventories, failed, images, events, extract(epoch FROM now() - begun_at)::float8 AS seconds

-- name: reports_without_inventory
-- Some reports by one engine that cannot be matched again, were judged by other advisories, of before a moment if there
-- is one, and are not marked yet. Advisories that nobody noted are as old as the scan.
SELECT r.scan_id
FROM scanner.report AS r
JOIN scanner.scan AS s ON s.scan_id = r.scan_id
LEFT JOIN scanner.generation AS g ON g.engine = s.engine AND g.version = s.advisories_version
WHERE r.inventory IS NULL AND r.stale = '' AND s.engine = $1 AND s.advisories_version <> $2 AND r.scan_id > $3
    AND ($4::timestamptz IS NULL OR coalesce(g.built_at, s.ended_at) < $4)
ORDER BY r.scan_id
LIMIT $5

-- name: mark_reports
-- Reports are not judged by the advisories that count, and why.
UPDATE scanner.report SET stale = $2 WHERE scan_id = ANY($1::uuid[])

-- name: mark_scans
-- The same for their scans, and for indexes that they are parts of: they are not vouched for in full any more.
UPDATE scanner.scan
SET coverage = 'PARTIAL', reason = $2, message = $3
WHERE state = 'COMPLETE' AND coverage = 'FULL'
    AND (
        scan_id = ANY($1::uuid[])
        OR scan_id IN (SELECT index_id FROM scanner.scan_part WHERE scan_id = ANY($1::uuid[]))
    )

-- name: mark_tasks
-- The same for their tasks.
UPDATE scanner.task
SET coverage = 'PARTIAL', reason = $2, message = $3
WHERE state = 'COMPLETE' AND coverage = 'FULL'
    AND (
        scan_id = ANY($1::uuid[])
        OR scan_id IN (SELECT index_id FROM scanner.scan_part WHERE scan_id = ANY($1::uuid[]))
    )

-- name: reports_of_inventory
-- Some reports that rest on an inventory, were judged by an older generation and are not marked, in order.
SELECT scan_id
FROM scanner.report
WHERE inventory = $1 AND generation < $2 AND stale = '' AND scan_id > $3
ORDER BY scan_id
LIMIT $4
