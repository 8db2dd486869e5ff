-- name: insert_task
-- Saves a task once: the same id again changes nothing. The caller holds the lock of its scan.
INSERT INTO scanner.task
    (task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, rule_ids,
     target_ids, traceparent, created_at, run_id, loan)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (task_id) DO NOTHING

-- name: tasks_by_id
-- Those of some tasks that are there.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE task_id = ANY($1::uuid[])

-- name: task
-- One task.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE task_id = $1

-- name: tasks_of_tags
-- Newest tasks of tags, on the digests that the tags have now, each with its place in the question.
SELECT asked.place, k.task_id, k.instance_id, k.repo_id, k.namespace, k.repository, k.tag, k.digest, k.engine,
    k.scan_id, k.state, k.reason, k.message, k.coverage, k.findings, k.advisories_version, k.rule_ids, k.target_ids,
    k.traceparent, k.run_id, k.created_at, k.ended_at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (repo_id, tag, place)
JOIN scanner.tag AS t ON t.repo_id = asked.repo_id AND t.tag = asked.tag
JOIN scanner.task AS k ON k.task_id = t.task_id

-- name: task_of_digest
-- Newest task of a repository on a digest, under any tag or none, of one engine where one is named.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE repo_id = $1 AND digest = $2 AND ($3 = '' OR engine = $3)
ORDER BY created_at DESC, task_id DESC
LIMIT 1

-- name: tasks_of_digests
-- Newest tasks of repositories on digests, under any tag or none, each with its place in the question; of one engine
-- where one is named.
SELECT asked.place, k.task_id, k.instance_id, k.repo_id, k.namespace, k.repository, k.tag, k.digest, k.engine,
    k.scan_id, k.state, k.reason, k.message, k.coverage, k.findings, k.advisories_version, k.rule_ids, k.target_ids,
    k.traceparent, k.run_id, k.created_at, k.ended_at
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (repo_id, digest, engine, place)
CROSS JOIN LATERAL (
    SELECT t.* FROM scanner.task AS t
    WHERE t.repo_id = asked.repo_id AND t.digest = asked.digest AND (asked.engine = '' OR t.engine = asked.engine)
    ORDER BY t.created_at DESC, t.task_id DESC
    LIMIT 1
) AS k

-- name: task_under_tag
-- Newest task of a tag on a digest that it has or had, of one engine where one is named.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE repo_id = $1 AND tag = $2 AND digest = $3 AND ($4 = '' OR engine = $4)
ORDER BY created_at DESC, task_id DESC
LIMIT 1

-- name: complete_task_of_digest
-- Last task of a repository on a digest whose findings are readable, of one tag and one engine where one is named.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE repo_id = $1 AND digest = $2 AND state = 'COMPLETE' AND ($3 = '' OR tag = $3) AND ($4 = '' OR engine = $4)
ORDER BY ended_at DESC, task_id DESC
LIMIT 1

-- name: complete_tasks_of_engines
-- Newest complete task of a repository on a digest by each of some engines, the newest one first.
SELECT k.task_id, k.instance_id, k.repo_id, k.namespace, k.repository, k.tag, k.digest, k.engine, k.scan_id, k.state,
    k.reason, k.message, k.coverage, k.findings, k.advisories_version, k.rule_ids, k.target_ids, k.traceparent,
    k.run_id, k.created_at, k.ended_at
FROM unnest($3::text[]) AS asked (engine)
CROSS JOIN LATERAL (
    SELECT t.* FROM scanner.task AS t
    WHERE t.repo_id = $1 AND t.digest = $2 AND t.engine = asked.engine AND t.state = 'COMPLETE'
    ORDER BY t.created_at DESC, t.task_id DESC
    LIMIT 1
) AS k
ORDER BY k.created_at DESC, k.task_id DESC

-- name: earlier_task_of_tag
-- Newest complete task of a tag by an engine that was asked for before another one and could judge something.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE repo_id = $1 AND tag = $2 AND engine = $3 AND (created_at, task_id) < ($4, $5::uuid)
    AND state = 'COMPLETE' AND coverage IN ('FULL', 'PARTIAL')
ORDER BY created_at DESC, task_id DESC
LIMIT 1

-- name: earlier_task_of_digest
-- The same of a digest in a repository, under any tag or none.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE repo_id = $1 AND digest = $2 AND engine = $3 AND (created_at, task_id) < ($4, $5::uuid)
    AND state = 'COMPLETE' AND coverage IN ('FULL', 'PARTIAL')
ORDER BY created_at DESC, task_id DESC
LIMIT 1

-- name: tasks
-- A page of tasks, newest first, after a position.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE ($1::timestamptz IS NULL OR (created_at, task_id) < ($1, $2::uuid))
    AND ($4 = '' OR instance_id = $4)
    AND ($5 = '' OR state = $5)
    AND ($6 = '' OR $6 = ANY(rule_ids))
    AND ($7 = '' OR engine = $7)
    AND ($8 = '' OR (namespace, repository) = ($8, $9))
    AND ($10 = '' OR tag = $10)
    AND ($11::timestamptz IS NULL OR created_at >= $11)
    AND ($12::timestamptz IS NULL OR created_at < $12)
    AND ($13::text[] = '{}' OR namespace = ANY($13))
ORDER BY created_at DESC, task_id DESC
LIMIT $3

-- name: tasks_of_run
-- A page of the tasks of a run, newest first, after a position: by an index of its own.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE run_id = $14
    AND ($1::timestamptz IS NULL OR (created_at, task_id) < ($1, $2::uuid))
    AND ($4 = '' OR instance_id = $4)
    AND ($5 = '' OR state = $5)
    AND ($6 = '' OR $6 = ANY(rule_ids))
    AND ($7 = '' OR engine = $7)
    AND ($8 = '' OR (namespace, repository) = ($8, $9))
    AND ($10 = '' OR tag = $10)
    AND ($11::timestamptz IS NULL OR created_at >= $11)
    AND ($12::timestamptz IS NULL OR created_at < $12)
    AND ($13::text[] = '{}' OR namespace = ANY($13))
ORDER BY created_at DESC, task_id DESC
LIMIT $3

-- name: change_tasks
-- Moves the open tasks of scans, of one repository where one is named, to a state that is not an end.
UPDATE scanner.task
SET state = $2, reason = $3, message = $4
WHERE scan_id = ANY($1::uuid[]) AND ended_at IS NULL AND ($5 = '' OR (namespace, repository) = ($5, $6))
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at

-- name: end_tasks
-- Ends the open tasks of a scan with what became of it.
UPDATE scanner.task
SET state = $2, reason = $3, message = $4, coverage = $5, findings = $6, advisories_version = $7, ended_at = $8,
    loan = NULL
WHERE scan_id = $1 AND ended_at IS NULL
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at

-- name: end_asked_tasks
-- Ends the open tasks of a scan that one repository was asked for: its own, and no later than the question; and of these
-- the lender's, where it was asked with a loan, else those without one.
UPDATE scanner.task
SET state = $2, reason = $3, message = $4, coverage = $5, findings = $6, advisories_version = $7, ended_at = $8,
    loan = NULL
WHERE scan_id = $1 AND ended_at IS NULL AND (namespace, repository) = ($9, $10) AND joined < $11
    AND CASE WHEN $12::uuid IS NULL THEN loan IS NULL ELSE task_id = $12 END
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at

-- name: waiting_repository
-- Repository of the open task that has waited longest for one of these scans.
SELECT namespace, repository
FROM scanner.task
WHERE scan_id = ANY($1::uuid[]) AND ended_at IS NULL
ORDER BY joined
LIMIT 1
