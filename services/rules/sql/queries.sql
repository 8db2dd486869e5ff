-- name: insert_instance
-- Saves an instance; no row comes back when its name is taken.
INSERT INTO rules.instance (
    instance_id, name, edition, region, address, private_address, plain_http, username, sealed_password, engine,
    created_at, updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
ON CONFLICT (name) DO NOTHING
RETURNING instance_id

-- name: find_instance
-- One instance by id or name.
SELECT instance_id, name, edition, region, address, private_address, plain_http, username, engine, created_at,
    updated_at, sync, sealed_password
FROM rules.instance
WHERE instance_id = $1 OR name = $1

-- name: lock_instance
-- One instance by id or name, held against other changes until the transaction ends.
SELECT instance_id, name, edition, region, address, private_address, plain_http, username, engine, created_at,
    updated_at, sync, sealed_password
FROM rules.instance
WHERE instance_id = $1 OR name = $1
FOR NO KEY UPDATE

-- name: list_instances
-- A page of instances by name; an empty region means all.
SELECT instance_id, name, edition, region, address, private_address, plain_http, username, engine, created_at,
    updated_at, sync
FROM rules.instance
WHERE name > $1 AND ($2 = '' OR region = $2)
ORDER BY name
LIMIT $3

-- name: update_instance
-- Writes every field that may change.
UPDATE rules.instance
SET name = $2, edition = $3, region = $4, address = $5, private_address = $6, plain_http = $7, username = $8,
    sealed_password = $9, updated_at = $10
WHERE instance_id = $1

-- name: delete_instance
-- Forgets an instance with its repositories and rules.
DELETE FROM rules.instance WHERE instance_id = $1 OR name = $1 RETURNING instance_id

-- name: bump_revision
-- Marks the rules of an instance as changed and holds its row: changes of rules come one after another.
UPDATE rules.instance
SET rules_revision = rules_revision + 1
WHERE instance_id = $1 OR name = $1
RETURNING instance_id

-- name: scan_settings
-- What the consumer must know of some instances; they cannot be deleted until the transaction ends.
SELECT instance_id, edition, engine, rules_revision
FROM rules.instance
WHERE instance_id = ANY($1::text[])
ORDER BY instance_id
FOR KEY SHARE

-- name: get_repository
-- One repository of an instance by its id.
SELECT repo_id, instance_id, namespace, name, created_at
FROM rules.repository
WHERE repo_id = $2 AND instance_id = $1

-- name: find_repositories
-- Repositories by (instance, namespace, name); unknown ones are left out.
SELECT r.repo_id, r.instance_id, r.namespace, r.name, r.created_at
FROM unnest($1::text[], $2::text[], $3::text[]) AS w (instance_id, namespace, name)
JOIN rules.repository AS r USING (instance_id, namespace, name)

-- name: insert_repositories
-- Saves repositories that were not known, in the given order; whoever comes first gives the id.
INSERT INTO rules.repository (repo_id, instance_id, namespace, name, created_at)
SELECT repo_id, instance_id, namespace, name, $5
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
    AS w (repo_id, instance_id, namespace, name, n)
ORDER BY n
ON CONFLICT (instance_id, namespace, name) DO NOTHING

-- name: list_repositories
-- A page of the repositories of an instance by namespace and name; an empty namespace means all.
SELECT repo_id, instance_id, namespace, name, created_at
FROM rules.repository
WHERE instance_id = $1 AND ($2 = '' OR namespace = $2) AND (namespace, name) > ($3, $4)
ORDER BY namespace, name
LIMIT $5

-- name: insert_rule
-- Saves a rule; no row comes back when the instance has one of that name.
INSERT INTO rules.scan_rule (
    rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    created_at, updated_at, schedule, next_run_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)
ON CONFLICT (instance_id, name) DO NOTHING
RETURNING rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    schedule, next_run_at, last_run_id, skipped, created_at, updated_at

-- name: get_rule
-- One rule by its id.
SELECT rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    schedule, next_run_at, last_run_id, skipped, created_at, updated_at
FROM rules.scan_rule
WHERE rule_id = $1

-- name: list_rules
-- A page of the rules of an instance, oldest first; no type means all.
SELECT rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    schedule, next_run_at, last_run_id, skipped, created_at, updated_at
FROM rules.scan_rule
WHERE instance_id = $1
    AND ($2::text IS NULL OR scan_type = $2)
    AND ($3::timestamptz IS NULL OR (created_at, rule_id) > ($3, $4::text))
ORDER BY created_at, rule_id
LIMIT $5

-- name: count_rules
-- How many rules of a type (none: of all) an instance has.
SELECT count(*) FROM rules.scan_rule WHERE instance_id = $1 AND ($2::text IS NULL OR scan_type = $2)

-- name: automatic_rules
-- Every AUTO rule of an instance, oldest first.
SELECT rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    schedule, next_run_at, last_run_id, skipped, created_at, updated_at
FROM rules.scan_rule
WHERE instance_id = $1 AND trigger = 'AUTO'
ORDER BY created_at, rule_id

-- name: update_rule
-- Replaces a rule.
UPDATE rules.scan_rule
SET name = $2, scope = $3, namespaces = $4, repo_names = $5, tag_pattern = $6, trigger = $7, target_ids = $8,
    updated_at = $9, schedule = $10, next_run_at = CASE WHEN schedule = $10 THEN next_run_at ELSE $11 END,
    skipped = CASE WHEN schedule = $10 THEN skipped ELSE '' END,
    orphaned_at = CASE
        WHEN (schedule, scope, namespaces, repo_names) = ($10, $3, $4, $5) THEN orphaned_at
    END
WHERE rule_id = $1
RETURNING rule_id, instance_id, name, scope, namespaces, repo_names, tag_pattern, trigger, scan_type, target_ids,
    schedule, next_run_at, last_run_id, skipped, created_at, updated_at

-- name: delete_rule
-- Deletes a rule.
DELETE FROM rules.scan_rule WHERE rule_id = $1 RETURNING rule_id

-- name: take_events
-- Remembers events and returns those that were not known; ids come sorted, so that two consumers cannot deadlock.
INSERT INTO rules.seen_event (event_id, seen_at)
SELECT event_id, $2 FROM unnest($1::uuid[]) AS e (event_id)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
