-- name: see_events
-- Marks image events as taken; returns those that were not yet.
INSERT INTO scanner.seen_event (event_id, seen_at)
SELECT event_id, $2 FROM unnest($1::uuid[]) AS e (event_id) ORDER BY event_id
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id

-- name: forget_events
-- Forgets events that nobody tells again; at most so many at once.
DELETE FROM scanner.seen_event
WHERE event_id IN (SELECT event_id FROM scanner.seen_event WHERE seen_at < $1 LIMIT $2)

-- name: see_tag
-- A push was seen: moves the tag to its digest unless something newer is known; a new digest has no task yet.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)
ON CONFLICT (repo_id, tag) DO UPDATE
SET digest = excluded.digest,
    revision = excluded.revision,
    task_id = CASE WHEN t.digest = excluded.digest THEN t.task_id END,
    seen_at = excluded.seen_at
WHERE excluded.revision > t.revision

-- name: point_tag
-- A task began on a tag: moves the tag to its digest and task, unless something newer with another digest is known.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (repo_id, tag) DO UPDATE
SET digest = excluded.digest,
    revision = greatest(t.revision, excluded.revision),
    task_id = excluded.task_id,
    seen_at = excluded.seen_at
WHERE excluded.revision >= t.revision OR excluded.digest = t.digest

-- name: tag_revision
-- Revision of a tag as last seen.
SELECT revision FROM scanner.tag WHERE repo_id = $1 AND tag = $2

-- name: tag_digest
-- Digest that a tag had when it was last seen.
SELECT digest FROM scanner.tag WHERE repo_id = $1 AND tag = $2
