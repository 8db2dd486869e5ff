-- name: known_subjects
-- Those deletions, by place, of which we have anything: events tell of layers and of strange tags, too.
SELECT w.place
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w (repo_id, tag, digest, place)
WHERE w.tag = '' AND w.digest = ''
    OR w.tag <> '' AND EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = w.repo_id AND t.tag = w.tag)
    OR w.digest <> '' AND EXISTS (SELECT FROM scanner.task AS k WHERE k.repo_id = w.repo_id AND k.digest = w.digest)

-- name: tags_of_digest
-- Tags of a repository that have a digest.
SELECT tag FROM scanner.tag WHERE repo_id = $1 AND digest = $2 ORDER BY tag

-- name: put_questions
-- There is a reason to ask for each of these, in one order for all who put questions. One that was put off is due.
INSERT INTO scanner.question AS q (instance_id, repo_id, namespace, repository, tag, digest)
SELECT DISTINCT instance_id, repo_id, namespace, repository, tag, digest
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS w (instance_id, repo_id, namespace, repository, tag, digest)
ORDER BY instance_id, repo_id, tag, digest
ON CONFLICT (instance_id, repo_id, tag, digest) DO UPDATE
SET heard = q.heard + 1, asked = 0, noted_at = now(), ask_at = least(q.ask_at, now())

-- name: announce_questions
-- Wakes those who ask once this transaction is committed.
SELECT pg_notify('drydock_scanner_questions', '')

-- name: claim_questions
-- Questions that are due, those that were not asked yet first; each is due again by itself after its deadline and a pause
-- that doubles. With the revision that the tag has, or the latest in the repository: pushes since then are newer.
WITH due AS (
    SELECT instance_id, repo_id, tag, digest FROM scanner.question
    WHERE ask_at <= now()
    ORDER BY asked, ask_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE scanner.question AS q
SET asked = q.asked + 1,
    ask_at = now() + make_interval(
        secs => $2 + least($3 * 2.0 ^ least(q.asked, 30), $4) * (0.5 + random() / 2)
    )
FROM due
WHERE (q.instance_id, q.repo_id, q.tag, q.digest) = (due.instance_id, due.repo_id, due.tag, due.digest)
RETURNING q.instance_id, q.repo_id, q.namespace, q.repository, q.tag, q.digest, q.heard, q.noted_at,
    CASE WHEN q.tag <> ''
        THEN (SELECT t.revision FROM scanner.tag AS t WHERE t.repo_id = q.repo_id AND t.tag = q.tag)
        WHEN q.digest = '' THEN (SELECT max(t.revision) FROM scanner.tag AS t WHERE t.repo_id = q.repo_id)
    END AS revision

-- name: drop_question
-- A question is answered, unless another reason to ask came since.
DELETE FROM scanner.question
WHERE (instance_id, repo_id, tag, digest) = ($1, $2, $3, $4) AND heard = $5

-- name: ask_at_once
-- An answer came too late: the question is due.
UPDATE scanner.question SET ask_at = now()
WHERE (instance_id, repo_id, tag, digest) = ($1, $2, $3, $4)

-- name: lock_tag
-- One tag, if we know it.
SELECT digest, revision FROM scanner.tag WHERE repo_id = $1 AND tag = $2 FOR UPDATE

-- name: find_tag
-- The registry has a tag that we did not know; no row when somebody told of it meanwhile.
INSERT INTO scanner.tag (repo_id, tag, instance_id, namespace, repository, digest, revision, task_id, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, (
    SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $6
    ORDER BY created_at DESC, task_id DESC LIMIT 1
), $7)
ON CONFLICT (repo_id, tag) DO NOTHING
RETURNING tag

-- name: move_tag
-- The registry said what a tag, which the caller has locked, has. That ends a doubt about it, too.
UPDATE scanner.tag
SET digest = $3, seen_at = greatest(seen_at, $4), doubted_at = NULL, ask_at = NULL, task_id = (
        SELECT task_id FROM scanner.task WHERE repo_id = $1 AND tag = $2 AND digest = $3
        ORDER BY created_at DESC, task_id DESC LIMIT 1
    )
WHERE repo_id = $1 AND tag = $2

-- name: drop_tag
-- A tag, which the caller has locked, is gone.
DELETE FROM scanner.tag WHERE repo_id = $1 AND tag = $2

-- name: drop_tags_of_repository
-- Tags of a repository that is gone, but for those that were pushed since.
DELETE FROM scanner.tag WHERE repo_id = $1 AND revision <= $2

-- name: drop_tags_of_instance
-- Some tags of an instance that is gone.
DELETE FROM scanner.tag
WHERE (repo_id, tag) IN (SELECT repo_id, tag FROM scanner.tag WHERE instance_id = $1 LIMIT $2)

-- name: drop_pull
-- When a tag or digest was pulled that is gone.
DELETE FROM scanner.pull WHERE repo_id = $1 AND reference = $2

-- name: drop_pulls_of_repository
-- When anything was pulled of a repository that is gone.
DELETE FROM scanner.pull WHERE repo_id = $1

-- name: has_tasks
-- Whether a repository has tasks on a digest.
SELECT EXISTS (SELECT FROM scanner.task WHERE repo_id = $1 AND digest = $2)

-- name: has_results
-- Whether a repository has tasks that no removal of all of it stands for yet.
SELECT EXISTS (
    SELECT FROM scanner.task AS k
    WHERE k.repo_id = $1 AND NOT EXISTS (
        SELECT FROM scanner.removal AS r
        WHERE r.repo_id = $1 AND r.tag = '' AND r.digest = '' AND r.ended_at IS NULL AND r.noted_at >= k.created_at
    )
)

-- name: add_removal
-- Something is gone; its results go later.
INSERT INTO scanner.removal
    (removal_id, instance_id, repo_id, namespace, repository, tag, digest, cause, noted_at, due_at, work_at)
VALUES
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)

-- name: add_removals_of_instance
-- An instance is gone, and with it each of its repositories, once.
INSERT INTO scanner.removal
    (removal_id, instance_id, repo_id, namespace, repository, tag, digest, cause, noted_at, due_at, work_at)
SELECT gen_random_uuid(), $1, w.repo_id, w.namespace, w.repository, '', '', $2, $3, $4, $4
FROM (
    SELECT repo_id, namespace, repository FROM scanner.tag WHERE instance_id = $1
    UNION
    SELECT repo_id, namespace, repository FROM scanner.task WHERE instance_id = $1
) AS w
WHERE NOT EXISTS (SELECT FROM scanner.removal AS r WHERE r.repo_id = w.repo_id AND r.tag = '' AND r.cause = $2)
RETURNING removal_id

-- name: claim_removal
-- The removal that is longest due; it is due again in a while, should its holder die.
UPDATE scanner.removal
SET work_at = now() + make_interval(secs => $1)
WHERE removal_id = (
    SELECT removal_id FROM scanner.removal
    WHERE ended_at IS NULL AND work_at <= now()
    ORDER BY work_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING removal_id, instance_id, repo_id, namespace, repository, tag, digest, cause, noted_at, due_at, ended_at,
    tasks, reports

-- name: doomed_by_tag
-- Some tasks under a tag that is gone: on digests that no tag of the repository has, and begun before it was known. Tasks
-- on the digest that it had ($6) under other tags, which went before it, too: its living kept those.
-- Open ones, and those of a run that has not been summed up, which counts them; or all others.
SELECT k.task_id
FROM scanner.task AS k
WHERE k.repo_id = $1
    AND (
        k.tag = $2
        OR (
            k.digest = $6 AND k.tag <> ''
            AND NOT EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = k.repo_id AND t.tag = k.tag)
        )
    )
    AND k.created_at <= $3
    AND (
        k.ended_at IS NULL OR EXISTS (SELECT FROM scanner.run AS r WHERE r.run_id = k.run_id AND r.summary IS NULL)
    ) = $4
    AND NOT EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = k.repo_id AND t.digest = k.digest)
LIMIT $5

-- name: doomed_by_digest
-- Some tasks on a digest that is gone, as above.
SELECT k.task_id
FROM scanner.task AS k
WHERE k.repo_id = $1 AND k.digest = $2
    AND k.created_at <= $3
    AND (
        k.ended_at IS NULL OR EXISTS (SELECT FROM scanner.run AS r WHERE r.run_id = k.run_id AND r.summary IS NULL)
    ) = $4
    AND NOT EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = k.repo_id AND t.digest = k.digest)
LIMIT $5

-- name: doomed_by_repository
-- Some tasks in a repository that is gone, as above.
SELECT k.task_id
FROM scanner.task AS k
WHERE k.repo_id = $1
    AND k.created_at <= $2
    AND (
        k.ended_at IS NULL OR EXISTS (SELECT FROM scanner.run AS r WHERE r.run_id = k.run_id AND r.summary IS NULL)
    ) = $3
    AND NOT EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = k.repo_id AND t.digest = k.digest)
LIMIT $4

-- name: hold_runs_of_tasks
-- Lets nobody try runs of tasks again, in the order that is the same for all: none counts tasks about to go.
SELECT run_id FROM scanner.run
WHERE run_id IN (SELECT run_id FROM scanner.task WHERE task_id = ANY($1::uuid[]))
ORDER BY run_id
FOR SHARE

-- name: hold_scans_of_tasks
-- Locks the scans of tasks, in the order that is the same for all: whoever opens one of the tasks again waits.
SELECT scan_id FROM scanner.scan
WHERE scan_id IN (SELECT scan_id FROM scanner.task WHERE task_id = ANY($1::uuid[]))
ORDER BY scan_id
FOR UPDATE

-- name: delete_tasks
-- Tasks that are to go; not those of a run that was tried again meanwhile.
DELETE FROM scanner.task AS k
WHERE k.task_id = ANY($1::uuid[]) AND k.ended_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM scanner.run AS r WHERE r.run_id = k.run_id AND r.summary IS NULL)
RETURNING k.scan_id, k.digest

-- name: lock_ended_scans
-- Ended scans, locked in an order that is the same for all: whoever joins one now waits, and finds it or not.
SELECT scan_id FROM scanner.scan WHERE scan_id = ANY($1::uuid[]) AND ended_at IS NOT NULL ORDER BY scan_id FOR UPDATE

-- name: unneeded_scans
-- Those scans that no task has and that are no platform of an index.
SELECT w.scan_id
FROM unnest($1::uuid[]) AS w (scan_id)
WHERE NOT EXISTS (SELECT FROM scanner.task AS k WHERE k.scan_id = w.scan_id)
    AND NOT EXISTS (SELECT FROM scanner.scan_part AS p WHERE p.scan_id = w.scan_id)

-- name: drop_parts
-- Indexes have no platforms any more.
DELETE FROM scanner.scan_part WHERE index_id = ANY($1::uuid[]) RETURNING scan_id

-- name: drop_reports
-- Reports that nobody needs.
DELETE FROM scanner.report WHERE scan_id = ANY($1::uuid[]) RETURNING scan_id

-- name: drop_scans
-- Scans that nobody needs.
DELETE FROM scanner.scan WHERE scan_id = ANY($1::uuid[])

-- name: count_removal
-- What went of a removal so far.
UPDATE scanner.removal SET tasks = tasks + $2, reports = reports + $3 WHERE removal_id = $1

-- name: end_removal
-- All results of what is gone went.
UPDATE scanner.removal SET ended_at = $2 WHERE removal_id = $1 AND ended_at IS NULL

-- name: removals
-- A page of removals of an instance, newest first, after a position.
SELECT removal_id, instance_id, repo_id, namespace, repository, tag, digest, cause, noted_at, due_at, ended_at, tasks,
    reports
FROM scanner.removal
WHERE instance_id = $1 AND ($2::timestamptz IS NULL OR (noted_at, removal_id) < ($2, $3::uuid))
ORDER BY noted_at DESC, removal_id DESC
LIMIT $4

-- name: removed_at
-- When a tag, or the repository that it was in, was last found to be gone.
SELECT max(noted_at) FROM scanner.removal WHERE repo_id = $1 AND tag IN ($2, '') AND cause <> 'DIGEST_DELETED'

-- name: note_pulls
-- Tags and digests that we know were pulled; what is not much later than what is written is not written.
INSERT INTO scanner.pull AS p (repo_id, reference, pulled_at)
SELECT w.repo_id, w.reference, max(w.pulled_at)
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS w (repo_id, reference, pulled_at)
WHERE EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = w.repo_id AND t.tag = w.reference)
    OR EXISTS (SELECT FROM scanner.tag AS t WHERE t.repo_id = w.repo_id AND t.digest = w.reference)
    OR EXISTS (SELECT FROM scanner.task AS k WHERE k.repo_id = w.repo_id AND k.digest = w.reference)
GROUP BY w.repo_id, w.reference
ORDER BY w.repo_id, w.reference
ON CONFLICT (repo_id, reference) DO UPDATE
SET pulled_at = excluded.pulled_at
WHERE excluded.pulled_at >= p.pulled_at + make_interval(secs => $4)

-- name: mark_listed
-- A walk found these tags: those that we know, with the digests that they have here.
WITH held AS (
    SELECT tag FROM scanner.tag WHERE repo_id = $1 AND tag = ANY($2::text[]) ORDER BY tag FOR UPDATE
)
UPDATE scanner.tag AS t
SET listed = greatest(t.listed, $3)
FROM held
WHERE t.repo_id = $1 AND t.tag = held.tag
RETURNING t.tag, t.digest

-- name: unlisted_tags
-- Tags of a repository that a walk has not found, and that nobody vouched for since it began.
SELECT tag FROM scanner.tag WHERE repo_id = $1 AND listed < $2 AND seen_at < $3 ORDER BY tag

-- name: tags
-- A page of the tags of a repository by name, with the later of their own last pull and their digest's.
SELECT t.tag, t.digest, nullif(t.seen_at, '-infinity') AS seen_at, greatest(p.pulled_at, d.pulled_at) AS pulled_at
FROM scanner.tag AS t
LEFT JOIN scanner.pull AS p ON p.repo_id = t.repo_id AND p.reference = t.tag
LEFT JOIN scanner.pull AS d ON d.repo_id = t.repo_id AND d.reference = t.digest
WHERE t.repo_id = $1 AND t.tag > $2
ORDER BY t.tag
LIMIT $3
