-- name: insert_run
-- Saves a run; no row comes back when its id is taken or another run of the rule has not ended.
INSERT INTO rules.run (
    run_id, rule_id, instance_id, scope, namespaces, tag_pattern, target_ids, scheduled, traceparent, state,
    catalog_read, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'ASKING', $10, $11)
ON CONFLICT DO NOTHING
RETURNING run_id

-- name: note_run
-- A rule has a new last run.
UPDATE rules.scan_rule SET last_run_id = $2, skipped = '' WHERE rule_id = $1

-- name: announce_runs
-- Wakes those who ask registries once this transaction is committed.
SELECT pg_notify('drydock_rules_runs', '')

-- name: get_run
-- One run with its counts.
SELECT r.run_id, r.rule_id, r.instance_id, r.state, r.reason, r.message, r.scheduled, r.created_at, r.ended_at,
    p.repositories, p.tags, t.waiting, t.requested, p.unresolved + t.unresolved AS unresolved,
    p.vanished + t.vanished AS vanished
FROM rules.run AS r
CROSS JOIN LATERAL (
    SELECT count(*) AS repositories, coalesce(sum(tags), 0)::bigint AS tags,
        count(*) FILTER (WHERE state = 'FAILED' AND reason <> 'IMAGE_NOT_FOUND') AS unresolved,
        count(*) FILTER (WHERE state = 'FAILED' AND reason = 'IMAGE_NOT_FOUND') AS vanished
    FROM rules.run_repository WHERE run_id = $1
) AS p
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'WAITING') AS waiting,
        count(*) FILTER (WHERE state = 'REQUESTED') AS requested,
        count(*) FILTER (WHERE state = 'FAILED' AND reason <> 'IMAGE_NOT_FOUND') AS unresolved,
        count(*) FILTER (WHERE state = 'FAILED' AND reason = 'IMAGE_NOT_FOUND') AS vanished
    FROM rules.run_tag WHERE run_id = $1
) AS t
WHERE r.run_id = $1

-- name: run_notes
-- Some of what a run could not ask for: what did not vanish first.
SELECT path, tag, reason, message
FROM (
    SELECT path, '' AS tag, reason, message FROM rules.run_repository WHERE run_id = $1 AND state = 'FAILED'
    UNION ALL
    SELECT path, tag, reason, message FROM rules.run_tag WHERE run_id = $1 AND state = 'FAILED'
) AS n
ORDER BY reason = 'IMAGE_NOT_FOUND', path, tag
LIMIT $2

-- name: open_run
-- The run of a rule that has not ended.
SELECT run_id FROM rules.run WHERE rule_id = $1 AND ended_at IS NULL

-- name: cancel_run
-- Asks for no more images. Without any there is nothing to wait for.
UPDATE rules.run
SET state = 'CANCELLED', reason = '', message = '', leased_until = NULL, ended_at = CASE
        WHEN NOT EXISTS (SELECT FROM rules.run_tag WHERE run_id = $1 AND state = 'REQUESTED') THEN $2::timestamptz
    END
WHERE run_id = $1 AND ended_at IS NULL AND state <> 'CANCELLED'

-- name: resume_run
-- Opens a run again, from where it stopped.
UPDATE rules.run
SET state = 'ASKING', reason = '', message = '', attempts = 0, due_at = now(), ended_at = NULL
WHERE run_id = $1 AND state <> 'ASKING'
RETURNING run_id

-- name: retry_repositories
-- Repositories that could not be read are read again, from their beginning.
UPDATE rules.run_repository
SET state = 'WAITING', cursor = '', pages = 0, tags = 0, reason = '', message = ''
WHERE run_id = $1 AND state = 'FAILED' AND reason <> 'IMAGE_NOT_FOUND'

-- name: retry_tags
-- Tags that could not be asked for are asked for again.
UPDATE rules.run_tag
SET state = 'WAITING', reason = '', message = ''
WHERE run_id = $1 AND state = 'FAILED' AND reason <> 'IMAGE_NOT_FOUND'

-- name: end_run
-- Every image has ended, unless more are asked for.
UPDATE rules.run SET ended_at = $2 WHERE run_id = $1 AND state <> 'ASKING' AND ended_at IS NULL

-- name: claim_run
-- Leases the run that is due longest and that nobody is at.
UPDATE rules.run AS r
SET owner = $1, leased_until = now() + make_interval(secs => $2), fence = r.fence + 1
WHERE r.run_id = (
    SELECT run_id FROM rules.run
    WHERE state = 'ASKING' AND due_at <= now() AND (leased_until IS NULL OR leased_until < now())
    ORDER BY due_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING r.run_id, r.rule_id, r.instance_id, r.scope, r.namespaces, r.tag_pattern, r.target_ids, r.traceparent,
    r.attempts, r.fence

-- name: hold_run
-- Keeps a lease and the row until the transaction ends; no row when it was lost or the run is over. The instance is
-- locked first, as by whoever deletes it: the two wait for each other and never both.
WITH owner AS MATERIALIZED (
    SELECT instance_id FROM rules.instance WHERE instance_id = $3 FOR KEY SHARE
)
UPDATE rules.run AS r
SET leased_until = now() + make_interval(secs => $4)
FROM owner
WHERE r.run_id = $1 AND r.fence = $2 AND r.instance_id = owner.instance_id AND r.state = 'ASKING'
    AND r.leased_until IS NOT NULL
RETURNING r.catalog_cursor, r.catalog_read, r.pages

-- name: advance_run
-- Something was achieved: what failed before does not count any more.
UPDATE rules.run SET attempts = 0, reason = '', message = '' WHERE run_id = $1 AND (attempts > 0 OR reason <> '')

-- name: turn_page
-- A page of the catalogue was read.
UPDATE rules.run SET catalog_cursor = $2, catalog_read = $3, pages = pages + 1 WHERE run_id = $1

-- name: insert_run_repositories
-- Repositories in scope; those that were listed before stay as they are.
INSERT INTO rules.run_repository (run_id, path)
SELECT $1, path FROM unnest($2::text[]) AS path
ON CONFLICT DO NOTHING

-- name: waiting_repositories
-- The next repositories whose tags are to be read.
SELECT path, cursor, pages FROM rules.run_repository WHERE run_id = $1 AND state = 'WAITING' ORDER BY path LIMIT $2

-- name: read_repository
-- A page of a repository's tags was read.
UPDATE rules.run_repository
SET cursor = $3, pages = pages + 1, tags = tags + $4, state = CASE WHEN $3 = '' THEN 'READ' ELSE 'WAITING' END
WHERE run_id = $1 AND path = $2

-- name: fail_repository
-- The tags of a repository cannot be read.
UPDATE rules.run_repository SET state = 'FAILED', reason = $3, message = $4 WHERE run_id = $1 AND path = $2

-- name: insert_run_tags
-- Tags that match; those that were listed before stay as they are.
INSERT INTO rules.run_tag (run_id, path, tag)
SELECT $1, $2, tag FROM unnest($3::text[]) AS tag
ON CONFLICT DO NOTHING

-- name: note_list
-- Something is said of a repository's tags, or of the catalogue (no path), as a whole.
INSERT INTO rules.run_tag (run_id, path, tag, state, reason, message)
VALUES ($1, $2, '', 'FAILED', $3, $4)
ON CONFLICT DO NOTHING

-- name: waiting_tags
-- The next tags whose digest is to be asked for.
SELECT path, tag FROM rules.run_tag WHERE run_id = $1 AND state = 'WAITING' ORDER BY path, tag LIMIT $2

-- name: requested_tags
-- Tags were asked for; those that were so already are not returned.
UPDATE rules.run_tag AS t
SET state = 'REQUESTED'
FROM unnest($2::text[], $3::text[]) AS w (path, tag)
WHERE t.run_id = $1 AND t.path = w.path AND t.tag = w.tag AND t.state = 'WAITING'
RETURNING t.path, t.tag

-- name: fail_tag
-- The digest of a tag could not be learnt.
UPDATE rules.run_tag SET state = 'FAILED', reason = $4, message = $5
WHERE run_id = $1 AND path = $2 AND tag = $3 AND state = 'WAITING'

-- name: finish_run
-- Nothing is left to ask, or to be asked. Without any image there is nothing to wait for.
UPDATE rules.run
SET state = $2, reason = $3, message = $4, leased_until = NULL, ended_at = CASE
        WHEN NOT EXISTS (SELECT FROM rules.run_tag WHERE run_id = $1 AND state = 'REQUESTED') THEN $5::timestamptz
    END
WHERE run_id = $1

-- name: postpone_run
-- Gives a lease back until later, and says why.
UPDATE rules.run
SET leased_until = NULL, owner = '', attempts = attempts + 1, due_at = now() + make_interval(secs => $3), reason = $4,
    message = $5
WHERE run_id = $1 AND fence = $2 AND state = 'ASKING'

-- name: release_run
-- Gives a lease back at once.
UPDATE rules.run SET leased_until = NULL, owner = '' WHERE run_id = $1 AND fence = $2 AND state = 'ASKING'

-- name: due_rules
-- Rules whose time has come, held until the transaction ends; each is taken by one process. Their instances are held as
-- well, and those that are being deleted left out: nothing is waited for.
SELECT r.rule_id, r.instance_id, r.name, r.scope, r.namespaces, r.repo_names, r.tag_pattern, r.trigger, r.scan_type,
    r.target_ids, r.schedule, r.next_run_at, r.last_run_id, r.skipped, r.created_at, r.updated_at
FROM rules.scan_rule AS r
JOIN rules.instance AS i USING (instance_id)
WHERE r.next_run_at <= $1
ORDER BY r.next_run_at
LIMIT $2
FOR KEY SHARE OF i SKIP LOCKED
FOR UPDATE OF r SKIP LOCKED

-- name: end_orphaned
-- The grace period of some rules is over: their schedules go, unless a repository of theirs is there again.
WITH orphan AS (
    SELECT s.rule_id, EXISTS (
        SELECT FROM rules.repository AS r
        WHERE r.instance_id = s.instance_id AND r.namespace = ANY(s.namespaces) AND r.name = ANY(s.repo_names)
    ) AS back
    FROM rules.scan_rule AS s
    JOIN rules.instance AS i USING (instance_id)
    WHERE s.orphaned_at <= $1 AND i.sync AND i.edition = 'ENTERPRISE'
    ORDER BY s.orphaned_at
    LIMIT $2
    FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE rules.scan_rule AS s
SET orphaned_at = NULL, schedule = CASE WHEN back THEN schedule ELSE '' END,
    next_run_at = CASE WHEN back THEN next_run_at END, skipped = CASE WHEN back THEN skipped ELSE $3 END
FROM orphan
WHERE s.rule_id = orphan.rule_id
RETURNING s.rule_id, s.instance_id, back

-- name: set_next_run
-- When a rule is run next, and why it was not run now.
UPDATE rules.scan_rule SET next_run_at = $2, skipped = $3 WHERE rule_id = $1

-- name: count_run_tags
-- Tags that match so far.
SELECT count(*) FROM rules.run_tag WHERE run_id = $1
