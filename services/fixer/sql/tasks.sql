-- name: insert_task
-- Saves a task; no row comes back when its tag has an open one, or its id is taken.
INSERT INTO fixer.task (
    task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT DO NOTHING
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at

-- name: count_open
-- Counts the open tasks of an instance; nobody else adds one until the transaction ends.
SELECT (SELECT count(*) FROM fixer.task WHERE instance_id = $1 AND open)
FROM (SELECT pg_advisory_xact_lock(hashtextextended('fixer.task ' || $1, 0))) AS turn

-- name: task
-- One task.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at
FROM fixer.task
WHERE task_id = $1

-- name: open_task
-- The open task of a tag.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at
FROM fixer.task
WHERE repo_id = $1 AND tag = $2 AND open

-- name: lock_task
-- One task, held to the end of the transaction.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at
FROM fixer.task
WHERE task_id = $1
FOR UPDATE

-- name: lock_leased
-- One task, held to the end of the transaction; no row when the lease was lost.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at
FROM fixer.task
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL
FOR UPDATE

-- name: list_tasks
-- Tasks, newest first, behind a moment and an id where they are named.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, NULL::bytea AS result,
    scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at
FROM fixer.task
WHERE ($1 = '' OR instance_id = $1) AND ($2 = '' OR namespace = $2) AND ($3 = '' OR repository = $3)
    AND ($4 = '' OR tag = $4) AND ($5 = '' OR state = $5) AND (cardinality($6::text[]) = 0 OR namespace = ANY($6))
    AND ($7::timestamptz IS NULL OR (created_at, task_id) < ($7, $8::uuid))
ORDER BY created_at DESC, task_id DESC
LIMIT $9

-- name: lock_claims
-- Whoever takes work counts first, and nobody takes any meanwhile.
SELECT pg_advisory_xact_lock(hashtext('fixer.claims'))

-- name: claim
-- Leases the oldest task that is due, of instances that have not as many in work as they may.
WITH busy AS (
    SELECT instance_id, count(*) AS tasks
    FROM fixer.task
    WHERE open AND leased_until >= now()
    GROUP BY instance_id
), next AS (
    SELECT t.task_id
    FROM fixer.task AS t
    LEFT JOIN busy ON busy.instance_id = t.instance_id
    WHERE t.open AND (t.leased_until IS NULL OR t.leased_until < now())
        AND t.due_at <= now() AND coalesce(busy.tasks, 0) < $3
    ORDER BY t.due_at, t.created_at
    LIMIT 1
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE fixer.task AS t
SET owner = $1, leased_until = now() + make_interval(secs => $2), fence = t.fence + 1, attempts = t.attempts + 1,
    state = CASE WHEN t.state = 'REVERTING' THEN t.state ELSE 'RUNNING' END,
    started_at = coalesce(t.started_at, now())
FROM next
WHERE t.task_id = next.task_id
RETURNING t.fence, t.task_id, t.instance_id, t.repo_id, t.namespace, t.repository, t.tag, t.digest, t.findings,
    t.overwrite, t.target_ids, t.rule_ids, t.rule_target_ids, t.created_by, t.traceparent, t.state, t.outcome,
    t.stage, t.progress_message, t.progress_done, t.progress_total, t.reason, t.message, t.hint, t.pushed_tag,
    t.pushed_digest, t.pushed_previous, t.pushed_backup, t.result, t.scan_task_id, t.attached, t.fixed,
    t.still_present, t.not_fixable, t.new_findings, t.revert_reason, t.revert_message, t.attempts, t.cancel_asked,
    t.created_at, t.started_at, t.ended_at, t.reverted_at

-- name: heartbeat
-- Keeps a lease, and tells whether the task is called off; no row when the lease was lost or given back.
UPDATE fixer.task
SET leased_until = now() + make_interval(secs => $3)
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING cancel_asked

-- name: note_stage
-- Notes how far a fix is, unless it is called off; tells whether it is. No row when the lease was lost.
UPDATE fixer.task
SET stage = CASE WHEN cancel_asked THEN stage ELSE $3 END,
    progress_message = $4, progress_done = $5, progress_total = $6
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING cancel_asked

-- name: note_push
-- Notes what is about to be written, unless the fix is called off; tells whether it is. No row when the lease was lost.
UPDATE fixer.task
SET stage = CASE WHEN cancel_asked THEN stage ELSE 'PUSHING' END,
    pushed_tag = CASE WHEN cancel_asked THEN pushed_tag ELSE $3 END,
    pushed_digest = CASE WHEN cancel_asked THEN pushed_digest ELSE $4 END,
    pushed_previous = CASE WHEN cancel_asked THEN pushed_previous ELSE $5 END,
    pushed_backup = CASE WHEN cancel_asked THEN pushed_backup ELSE $6 END
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING cancel_asked

-- name: end_task
-- Ends a fix.
UPDATE fixer.task
SET state = $2, outcome = $2, reason = $3, message = $4, hint = $5, result = $6, scan_task_id = $7, attached = $8,
    fixed = $9, still_present = $10, not_fixable = $11, new_findings = $12, ended_at = $13, settled_at = $13,
    owner = '', leased_until = NULL, cancel_asked = false, progress_message = '', progress_done = 0,
    progress_total = 0, pushed_tag = coalesce($14, pushed_tag), pushed_digest = coalesce($15, pushed_digest),
    pushed_backup = coalesce($16, pushed_backup)
WHERE task_id = $1
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at

-- name: postpone
-- Gives the lease back until later, and so many attempts with it; no row when it was lost.
UPDATE fixer.task
SET state = CASE WHEN state = 'REVERTING' THEN state ELSE 'RETRYING' END,
    reason = CASE WHEN state = 'REVERTING' THEN reason ELSE $4 END,
    message = CASE WHEN state = 'REVERTING' THEN message ELSE $5 END,
    hint = CASE WHEN state = 'REVERTING' THEN hint ELSE $6 END,
    due_at = CASE WHEN cancel_asked THEN now() ELSE now() + make_interval(secs => $3) END,
    owner = '', leased_until = NULL, attempts = attempts - $7::int
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL
RETURNING task_id

-- name: release
-- Gives an unfinished lease back at once, as if it had not been taken.
UPDATE fixer.task
SET owner = '', leased_until = NULL, attempts = attempts - 1
WHERE task_id = $1 AND fence = $2 AND leased_until IS NOT NULL

-- name: ask_cancel
-- Calls off what a worker is at.
UPDATE fixer.task SET cancel_asked = true WHERE task_id = $1
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at

-- name: begin_revert
-- Has what the written tag held before put back; no row comes back when the tag has an open task.
UPDATE fixer.task
SET state = 'REVERTING', revert_reason = '', revert_message = '', attempts = 0, due_at = now(), settled_at = NULL
WHERE task_id = $1
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at

-- name: end_revert
-- Ends the putting back, well or not.
UPDATE fixer.task
SET state = CASE WHEN $2 = '' THEN 'REVERTED' ELSE outcome END, revert_reason = $2, revert_message = $3,
    reverted_at = CASE WHEN $2 = '' THEN $4 ELSE reverted_at END, settled_at = $4, owner = '', leased_until = NULL
WHERE task_id = $1
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, findings, overwrite, target_ids, rule_ids,
    rule_target_ids, created_by, traceparent, state, outcome, stage, progress_message, progress_done, progress_total,
    reason, message, hint, pushed_tag, pushed_digest, pushed_previous, pushed_backup, result, scan_task_id, attached,
    fixed, still_present, not_fixable, new_findings, revert_reason, revert_message, attempts, cancel_asked, created_at,
    started_at, ended_at, reverted_at

-- name: announce_work
-- Wakes idle workers once this transaction is committed.
SELECT pg_notify('drydock_fixer_work', '')

-- name: announce_cancel
-- Wakes the worker that is at the task, whoever it is, once this transaction is committed.
SELECT pg_notify('drydock_fixer_cancels', '')
