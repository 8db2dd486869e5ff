-- name: switch_sync
-- Switches the sync of an instance; no row when it is so already.
UPDATE rules.instance SET sync = $2 WHERE instance_id = $1 AND sync <> $2 RETURNING instance_id

-- name: begin_sync
-- Sync was switched on: a first walk is due, or a new one from the beginning.
INSERT INTO rules.sync AS s (instance_id, due_at) VALUES ($1, now())
ON CONFLICT (instance_id) DO UPDATE
SET due_at = now(), began_at = NULL, ended_at = NULL, asked_at = NULL, attempts = 0, reason = '', message = '',
    fence = s.fence + 1, leased_until = NULL

-- name: end_sync
-- Sync was switched off: whoever walks finds out when they write.
UPDATE rules.sync
SET fence = fence + 1, leased_until = NULL, ended_at = coalesce(ended_at, now())
WHERE instance_id = $1

-- name: hasten_sync
-- Somebody wants a walk that begins from now on; one that was put off goes on at once.
UPDATE rules.sync SET asked_at = now(), due_at = least(due_at, now()), attempts = 0 WHERE instance_id = $1

-- name: announce_sync
-- Wakes those who walk once this transaction is committed.
SELECT pg_notify('drydock_rules_sync', '')

-- name: sync_of
-- The sync of an instance.
SELECT i.instance_id, i.sync, i.edition, s.walk, s.began_at, s.ended_at, s.due_at, s.repositories, s.tags, s.gone,
    s.skipped, s.reason, s.message, s.leased_until IS NOT NULL AS leased, s.due_at <= now() AS due
FROM rules.instance AS i
LEFT JOIN rules.sync AS s USING (instance_id)
WHERE i.instance_id = $1

-- name: claim_walk
-- Takes the walk that is longest due and that nobody holds: a new one where the last is over.
WITH due AS (
    SELECT s.instance_id, s.began_at IS NOT NULL AND s.ended_at IS NULL AS under_way
    FROM rules.sync AS s
    JOIN rules.instance AS i USING (instance_id)
    WHERE s.due_at <= now() AND (s.leased_until IS NULL OR s.leased_until < now())
        AND i.sync AND i.edition = 'ENTERPRISE'
    ORDER BY s.due_at
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE rules.sync AS s
SET fence = s.fence + 1,
    leased_until = now() + make_interval(secs => $1),
    walk = s.walk + CASE WHEN due.under_way THEN 0 ELSE 1 END,
    began_at = CASE WHEN due.under_way THEN s.began_at ELSE now() END,
    ended_at = NULL,
    catalogued = due.under_way AND s.catalogued,
    cursor = CASE WHEN due.under_way THEN s.cursor ELSE '' END,
    repository = CASE WHEN due.under_way THEN s.repository ELSE '' END,
    pages = CASE WHEN due.under_way THEN s.pages ELSE 0 END,
    repositories = CASE WHEN due.under_way THEN s.repositories ELSE 0 END,
    tags = CASE WHEN due.under_way THEN s.tags ELSE 0 END,
    gone = CASE WHEN due.under_way THEN s.gone ELSE 0 END,
    skipped = CASE WHEN due.under_way THEN s.skipped ELSE 0 END,
    attempts = CASE WHEN due.under_way THEN s.attempts ELSE 0 END,
    reason = CASE WHEN due.under_way THEN s.reason ELSE '' END,
    message = CASE WHEN due.under_way THEN s.message ELSE '' END
FROM due
WHERE s.instance_id = due.instance_id
RETURNING s.instance_id, s.fence, s.walk, s.began_at, s.catalogued, s.cursor, s.repository, s.repositories, s.pages,
    s.skipped, s.attempts

-- name: advance_walk
-- Writes down how far a walk has come and keeps its lease; no row when it was lost. The instance is locked first, as by
-- whoever deletes it: the two wait for each other and never both.
WITH owner AS MATERIALIZED (
    SELECT instance_id FROM rules.instance WHERE instance_id = $1 FOR KEY SHARE
)
UPDATE rules.sync AS s
SET leased_until = now() + make_interval(secs => $3), catalogued = $4, cursor = $5, repository = $6,
    repositories = s.repositories + $7, tags = s.tags + $8, gone = s.gone + $9, skipped = s.skipped + $10, attempts = 0,
    pages = s.pages + $13,
    reason = CASE WHEN $11 = '' THEN s.reason ELSE $11 END, message = CASE WHEN $11 = '' THEN s.message ELSE $12 END
FROM owner
WHERE s.instance_id = owner.instance_id AND s.fence = $2 AND s.leased_until IS NOT NULL
RETURNING s.instance_id

-- name: keep_walk
-- Keeps the lease of a walk; no row when it was lost.
UPDATE rules.sync SET leased_until = now() + make_interval(secs => $3)
WHERE instance_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING instance_id

-- name: postpone_walk
-- Gives the lease back until later, for a reason; no row when it was lost.
UPDATE rules.sync
SET leased_until = NULL, due_at = now() + make_interval(secs => $3), attempts = attempts + 1, reason = $4, message = $5
WHERE instance_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING instance_id

-- name: release_walk
-- Gives an unfinished walk back at once, as if it had not been taken up.
UPDATE rules.sync SET leased_until = NULL WHERE instance_id = $1 AND fence = $2

-- name: pause_walk
-- Gives an unfinished walk back, behind all others that are due.
UPDATE rules.sync SET leased_until = NULL, due_at = now() WHERE instance_id = $1 AND fence = $2

-- name: end_walk
-- A walk is over; the next one is due in a while, or at once when somebody asked for one since it began.
UPDATE rules.sync
SET leased_until = NULL, ended_at = now(), attempts = 0,
    due_at = CASE WHEN asked_at > began_at THEN now() ELSE now() + make_interval(secs => $3) END
WHERE instance_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING now() - began_at AS lasted

-- name: mark_repository
-- A walk found a repository that was seen before, or is seen now.
UPDATE rules.repository SET walk = $2 WHERE repo_id = $1

-- name: walked_repositories
-- Which of some repositories a walk has found.
SELECT repo_id FROM rules.repository WHERE repo_id = ANY($1::text[]) AND walk = $2

-- name: unwalked_repositories
-- A page of repositories that a walk has not found, by path, after a position.
SELECT namespace, name
FROM rules.repository
WHERE instance_id = $1 AND walk < $2 AND (namespace, name) > ($3, $4)
ORDER BY namespace, name
LIMIT $5

-- name: forget_repositories
-- Repositories that are in the registry no more.
DELETE FROM rules.repository AS r
USING unnest($1::text[], $2::text[], $3::text[]) AS w (instance_id, namespace, name)
WHERE (r.instance_id, r.namespace, r.name) = (w.instance_id, w.namespace, w.name)
RETURNING r.repo_id

-- name: orphan_rules
-- A repository was forgotten: scheduled rules that name it, and no other that is there, begin their grace period.
WITH orphan AS (
    SELECT rule_id
    FROM rules.scan_rule AS s
    WHERE instance_id = $1 AND scope = 'REPO' AND schedule <> '' AND namespaces = ARRAY[$2::text]
        AND $3 = ANY(repo_names)
        AND NOT EXISTS (
            SELECT FROM rules.repository AS r
            WHERE r.instance_id = s.instance_id AND r.namespace = $2 AND r.name = ANY(s.repo_names)
        )
    ORDER BY rule_id
    FOR NO KEY UPDATE
)
UPDATE rules.scan_rule AS s SET orphaned_at = $4 FROM orphan WHERE s.rule_id = orphan.rule_id
