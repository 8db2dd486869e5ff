-- name: see_events
-- Marks image events as taken; returns those that were not yet.
INSERT INTO scanner.seen_event (event_id, seen_at)
SELECT event_id, $2 FROM unnest($1::uuid[]) AS e (event_id) ORDER BY event_id
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id

-- name: lock_tags
-- Known tags, locked in an order that is the same for all: only then a later statement sees every task on them.
SELECT tag
FROM scanner.tag
WHERE (repo_id, tag) IN (SELECT repo_id, tag FROM unnest($1::text[], $2::text[]) AS wanted (repo_id, tag))
ORDER BY repo_id, tag
FOR UPDATE

-- name: see_tag
-- A push was told of. It moves the tag when it is the latest, both by arrival and by the registry's clock; it changes
-- nothing when it is neither. One that is only one of both leaves the tag in doubt, if it has another digest.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES
    ($1, $2, $3, $4, $5, $6, $7, (
        SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $6
        ORDER BY created_at DESC, task_id DESC LIMIT 1
    ), $8)
ON CONFLICT (repo_id, tag) DO UPDATE
SET (digest, task_id) = (
        SELECT excluded.digest, excluded.task_id WHERE excluded.revision > t.revision AND excluded.seen_at >= t.seen_at
        UNION ALL SELECT t.digest, t.task_id
        LIMIT 1
    ),
    (doubted_at, ask_at, questions) = (
        SELECT now(), now(), 0
        WHERE t.doubted_at IS NULL AND excluded.digest <> t.digest
            AND (
                (excluded.revision > t.revision AND excluded.seen_at < t.seen_at)
                OR (excluded.revision <= t.revision AND excluded.seen_at > t.seen_at)
            )
        UNION ALL SELECT t.doubted_at, t.ask_at, t.questions
        LIMIT 1
    ),
    revision = greatest(t.revision, excluded.revision),
    seen_at = greatest(t.seen_at, excluded.seen_at)
RETURNING doubted_at IS NOT NULL AS doubted

-- name: point_tag
-- The registry said what a tag has, and a task began on it: moves the tag, unless a push with another digest came in
-- since the question. What else was in doubt is answered by it.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (repo_id, tag) DO UPDATE
SET digest = excluded.digest,
    revision = greatest(t.revision, excluded.revision),
    task_id = excluded.task_id,
    seen_at = greatest(t.seen_at, excluded.seen_at),
    doubted_at = CASE WHEN excluded.revision < t.revision THEN t.doubted_at END
WHERE excluded.revision >= t.revision OR excluded.digest = t.digest

-- name: attach_task
-- A task began on a push, which moves the tag by itself: the tag has the task if it has the digest. A tag that nobody
-- has told of yet is there from now on.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES
    ($1, $2, $3, $4, $5, $6, $7, (
        SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $6
        ORDER BY created_at DESC, task_id DESC LIMIT 1
    ), '-infinity')
ON CONFLICT (repo_id, tag) DO UPDATE
SET task_id = excluded.task_id
WHERE excluded.digest = t.digest

-- name: meet_tag
-- A run of a rule found the tag in its registry, and a task began on what it has. The tag has the task if it has the
-- digest; one that has another digest, for which nobody vouched since, is in doubt: only its registry can tell.
INSERT INTO scanner.tag AS t
    (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES
    ($1, $2, $3, $4, $5, $6, $7, (
        SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $6
        ORDER BY created_at DESC, task_id DESC LIMIT 1
    ), $8)
ON CONFLICT (repo_id, tag) DO UPDATE
SET task_id = CASE WHEN excluded.digest = t.digest THEN excluded.task_id ELSE t.task_id END,
    (doubted_at, ask_at, questions) = (
        SELECT now(), now(), 0
        WHERE t.doubted_at IS NULL AND excluded.digest <> t.digest AND excluded.seen_at > t.seen_at
        UNION ALL SELECT t.doubted_at, t.ask_at, t.questions
        LIMIT 1
    ),
    seen_at = CASE WHEN excluded.digest = t.digest THEN greatest(t.seen_at, excluded.seen_at) ELSE t.seen_at END
RETURNING doubted_at IS NOT NULL AS doubted

-- name: claim_doubts
-- Tags whose registry is to be asked now, those that were not asked for yet first: a registry that is away keeps none
-- from the others. Each is due again by itself after the deadline of the question and a pause that doubles: whoever
-- takes one may die.
WITH due AS (
    SELECT repo_id, tag FROM scanner.tag
    WHERE doubted_at IS NOT NULL AND ask_at <= now()
    ORDER BY questions, ask_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE scanner.tag AS t
SET questions = t.questions + 1,
    ask_at = now() + make_interval(
        secs => $2 + least($3 * 2.0 ^ least(t.questions, 30), $4) * (0.5 + random() / 2)
    )
FROM due
WHERE t.repo_id = due.repo_id AND t.tag = due.tag
RETURNING t.repo_id, t.tag, t.instance_id, t.namespace, t.repository, t.digest, t.revision, t.doubted_at

-- name: settle_tag
-- The registry has answered: the tag has this digest, and its newest task. No row when something came in since.
UPDATE scanner.tag
SET digest = $4, doubted_at = NULL, ask_at = NULL, seen_at = $5, task_id = (
        SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $4
        ORDER BY created_at DESC, task_id DESC LIMIT 1
    )
WHERE repo_id = $1 AND tag = $2 AND revision = $3 AND doubted_at IS NOT NULL
RETURNING tag

-- name: ask_again
-- A tag is in doubt still: its registry is to be asked at once.
UPDATE scanner.tag SET ask_at = now() WHERE repo_id = $1 AND tag = $2 AND doubted_at IS NOT NULL

-- name: announce_doubts
-- Wakes those who ask registries once this transaction is committed.
SELECT pg_notify('drydock_scanner_doubts', '')

-- name: tag_revision
-- Revision of a tag as last seen.
SELECT revision FROM scanner.tag WHERE repo_id = $1 AND tag = $2

-- name: tag_digest
-- Digest that a tag had when it was last seen.
SELECT digest FROM scanner.tag WHERE repo_id = $1 AND tag = $2
