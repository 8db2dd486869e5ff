-- name: insert_event_rule
-- Saves an event rule; no row comes back when its name is taken.
INSERT INTO notifier.event_rule (
    rule_id, instance_id, name, event_type, target_id, scope, namespaces, repo_names, tag_pattern, created_at,
    updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
ON CONFLICT (instance_id, name) DO NOTHING
RETURNING rule_id

-- name: lock_event_rules
-- Counts the event rules of an instance; nobody else adds one until the transaction ends.
SELECT (SELECT count(*) FROM notifier.event_rule WHERE instance_id = $1)
FROM (SELECT pg_advisory_xact_lock(hashtextextended('notifier.event_rule ' || $1, 0))) AS turn

-- name: update_event_rule
-- Replaces an event rule; no row comes back when there is none.
UPDATE notifier.event_rule
SET name = $3, event_type = $4, target_id = $5, scope = $6, namespaces = $7, repo_names = $8, tag_pattern = $9,
    updated_at = $10
WHERE rule_id = $1 AND instance_id = $2
RETURNING rule_id

-- name: delete_event_rule
-- Deletes an event rule.
DELETE FROM notifier.event_rule WHERE instance_id = $1 AND rule_id = $2 RETURNING rule_id

-- name: event_rule
-- One event rule.
SELECT rule_id, instance_id, name, event_type, target_id, scope, namespaces, repo_names, tag_pattern, created_at,
    updated_at
FROM notifier.event_rule
WHERE rule_id = $1

-- name: event_rules
-- The event rules of instances, by name.
SELECT rule_id, instance_id, name, event_type, target_id, scope, namespaces, repo_names, tag_pattern, created_at,
    updated_at
FROM notifier.event_rule
WHERE instance_id = ANY($1::text[])
ORDER BY name, rule_id

-- name: insert_event_records
-- Adds what rules had told; each event once for each rule.
INSERT INTO notifier.event_record (
    record_id, rule_id, rule_name, instance_id, target_id, event_id, delivery_id, event_type, kind, namespace,
    repository, tag, created_at
)
SELECT r.record_id, r.rule_id, r.rule_name, r.instance_id, r.target_id, r.event_id, r.delivery_id, r.event_type,
    t.kind, r.namespace, r.repository, r.tag, $12
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::text[], $9::text[],
    $10::text[], $11::text[]
) AS r (
    record_id, rule_id, rule_name, instance_id, target_id, event_id, delivery_id, event_type, namespace, repository,
    tag
)
JOIN notifier.target AS t ON t.target_id = r.target_id
ORDER BY r.rule_id, r.event_id
ON CONFLICT (rule_id, event_id) DO NOTHING

-- name: event_records
-- A page of what rules of an instance had told, newest first.
SELECT r.record_id, r.rule_id, r.rule_name, r.instance_id, r.event_type, r.delivery_id, r.kind, r.namespace,
    r.repository, r.tag, r.created_at, coalesce(d.finished_at, r.created_at) AS updated_at
FROM notifier.event_record AS r
LEFT JOIN notifier.delivery AS d ON d.target_id = r.target_id AND d.event_id = r.event_id
WHERE r.instance_id = $1
    AND ($2 = '' OR r.rule_id = $2)
    AND ($3 = '' OR r.event_type = $3)
    AND (cardinality($4::text[]) = 0 OR r.namespace = ANY($4))
    AND ($5 = '' OR r.repository = $5)
ORDER BY r.created_at DESC, r.record_id DESC
OFFSET $6
LIMIT $7

-- name: count_event_records
-- How many that are in all.
SELECT count(*)
FROM notifier.event_record AS r
WHERE r.instance_id = $1
    AND ($2 = '' OR r.rule_id = $2)
    AND ($3 = '' OR r.event_type = $3)
    AND (cardinality($4::text[]) = 0 OR r.namespace = ANY($4))
    AND ($5 = '' OR r.repository = $5)
