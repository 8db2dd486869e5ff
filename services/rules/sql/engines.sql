-- name: list_regions
-- Regions by name, with how many instances lie in each.
SELECT region, count(*) AS instances FROM rules.instance GROUP BY region ORDER BY region LIMIT $1

-- name: set_engine
-- Makes an engine the one that scans; no row comes back when the instance is gone.
UPDATE rules.instance SET engine = $2, updated_at = $3 WHERE instance_id = $1 RETURNING instance_id

-- name: conditions
-- What was last found of an instance.
SELECT type, status, reason, message, changed_at FROM rules.engine_condition WHERE instance_id = $1

-- name: save_conditions
-- Saves what was found; a status that stays keeps the moment at which it came.
INSERT INTO rules.engine_condition AS c (instance_id, type, status, reason, message, changed_at)
SELECT $1, type, status, reason, message, changed_at
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS f (type, status, reason, message, changed_at)
ON CONFLICT (instance_id, type) DO UPDATE
SET status = excluded.status, reason = excluded.reason, message = excluded.message,
    changed_at = CASE WHEN c.status = excluded.status THEN c.changed_at ELSE excluded.changed_at END

-- name: count_conditions
-- How many instances have a condition in a status, by the engine that they use.
SELECT i.engine, c.type, c.status, count(*) AS instances
FROM rules.engine_condition AS c
JOIN rules.instance AS i USING (instance_id)
WHERE i.edition = 'ENTERPRISE'
GROUP BY i.engine, c.type, c.status

-- name: authorize
-- Records who authorized an engine, unless somebody has before.
INSERT INTO rules.engine_authorization (instance_id, engine, actor, authorized_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (instance_id, engine) DO NOTHING

-- name: authorizations
-- Who authorized which engine of an instance, when, and how many other instances had it authorized before.
SELECT engine, actor, authorized_at, (
    SELECT count(*) FROM rules.engine_authorization AS o
    WHERE o.engine = a.engine AND (o.authorized_at, o.instance_id) < (a.authorized_at, a.instance_id)
) AS earlier
FROM rules.engine_authorization AS a
WHERE instance_id = $1

-- name: count_authorized
-- How many instances have an engine authorized.
SELECT count(*) FROM rules.engine_authorization WHERE engine = $1

-- name: save_report
-- Keeps what a scanner says of itself in place of what it said before.
INSERT INTO rules.scanner_report (node_id, expires_at, parts) VALUES ($1, $2, $3)
ON CONFLICT (node_id) DO UPDATE SET expires_at = excluded.expires_at, parts = excluded.parts

-- name: live_reports
-- What scanners that are not silent say of themselves.
SELECT node_id, parts FROM rules.scanner_report WHERE expires_at > $1 ORDER BY node_id

-- name: forget_reports
-- Deletes what scanners said that have long been silent.
DELETE FROM rules.scanner_report WHERE expires_at < $1

-- name: claim_checks
-- Takes instances whose registry is due to be looked at, and puts their next turn off: nobody else takes them meanwhile.
UPDATE rules.instance
SET check_due_at = $1::timestamptz + $2::float8 * interval '1 second'
WHERE instance_id IN (
    SELECT instance_id FROM rules.instance
    WHERE check_due_at <= $1 AND edition = 'ENTERPRISE'
    ORDER BY check_due_at
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING instance_id

-- name: check_soon
-- Makes a registry due at once, a pull from it as well.
UPDATE rules.instance SET check_due_at = $2, pull_due_at = $2 WHERE instance_id = $1

-- name: announce_check
-- Wakes whoever looks at registries.
SELECT pg_notify('drydock_rules_checks', '')

-- name: pull_due
-- Whether an image is to be pulled again.
SELECT pull_due_at <= $2 FROM rules.instance WHERE instance_id = $1

-- name: pulled
-- Notes when an image is to be pulled next.
UPDATE rules.instance SET pull_due_at = $2 WHERE instance_id = $1

-- name: youngest_repositories
-- Repositories of an instance that were seen last.
SELECT namespace, name FROM rules.repository
WHERE instance_id = $1
ORDER BY created_at DESC, repo_id
LIMIT $2
