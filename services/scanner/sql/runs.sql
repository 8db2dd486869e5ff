-- name: enter_runs
-- Runs of which tasks come in are known from now on; in one order for all.
INSERT INTO scanner.run (run_id) SELECT run_id FROM unnest($1::uuid[]) AS run_id ORDER BY run_id
ON CONFLICT (run_id) DO NOTHING

-- name: hold_runs
-- Runs of which tasks come in: nobody calls one off, or tries it again, until the transaction ends.
SELECT run_id, cancelled FROM scanner.run WHERE run_id = ANY($1::uuid[]) ORDER BY run_id FOR SHARE

-- name: change_run
-- A run is called off, or tried again.
INSERT INTO scanner.run AS r (run_id, cancelled, sweep, sweep_before) VALUES ($1, $2, $3, $4)
ON CONFLICT (run_id) DO UPDATE
SET cancelled = excluded.cancelled, sweep = excluded.sweep, sweep_before = excluded.sweep_before, summary = NULL,
    changes = r.changes + 1, look_at = now()

-- name: reopen_run
-- A task of a run is open again.
UPDATE scanner.run SET summary = NULL, changes = changes + 1, look_at = now() WHERE run_id = $1

-- name: announce_sweep
-- Wakes the keepers of runs once this transaction is committed.
SELECT pg_notify('drydock_scanner_runs', '')

-- name: run_to_sweep
-- A run with whose tasks something is to be done, held until the transaction ends.
SELECT run_id, sweep, sweep_before FROM scanner.run WHERE sweep <> '' ORDER BY run_id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: swept
-- Nothing is left to be done with the tasks of a run.
UPDATE scanner.run SET sweep = '' WHERE run_id = $1

-- name: runs_to_look_at
-- Runs that may have ended, and ended ones that may have been forgotten elsewhere. Each is due again by itself.
UPDATE scanner.run
SET look_at = now() + make_interval(secs => CASE WHEN summary IS NULL THEN $1 ELSE 86400.0 END)
WHERE run_id IN (
    SELECT run_id FROM scanner.run
    WHERE sweep = '' AND look_at <= now()
    ORDER BY look_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING run_id, changes, summary IS NOT NULL AS ended

-- name: sum_up
-- How a run ended, unless something was changed since it was counted.
UPDATE scanner.run SET summary = $3, look_at = now() + interval '1 day'
WHERE run_id = $1 AND changes = $2 AND sweep = ''

-- name: forget_run
-- Nobody knows of the run any more.
DELETE FROM scanner.run WHERE run_id = $1

-- name: run_standing
-- How a run ended, and whether something is still to be done with its tasks.
SELECT summary, sweep <> '' AS sweeping FROM scanner.run WHERE run_id = $1

-- name: run_is_open
-- Whether a task of a run has not ended.
SELECT EXISTS (SELECT FROM scanner.task WHERE run_id = $1 AND ended_at IS NULL)

-- name: run_counts
-- Tasks of a run by state, and how many of them could judge nothing.
SELECT state, count(*) AS tasks, count(*) FILTER (WHERE coverage = 'NONE') AS undecided
FROM scanner.task
WHERE run_id = $1
GROUP BY state

-- name: run_reasons
-- Why tasks of a run failed.
SELECT reason, count(*) AS tasks, min(message) AS message
FROM scanner.task
WHERE run_id = $1 AND state = 'FAILED'
GROUP BY reason

-- name: run_findings
-- Findings of all tasks of a run by severity.
SELECT f.key AS severity, sum(f.value::bigint)::bigint AS findings
FROM scanner.task AS t, jsonb_each_text(t.findings) AS f
WHERE t.run_id = $1 AND t.state = 'COMPLETE'
GROUP BY f.key

-- name: open_tasks_of_run
-- Some tasks of a run that have not ended.
SELECT task_id, scan_id FROM scanner.task WHERE run_id = $1 AND ended_at IS NULL LIMIT $2

-- name: failed_tasks_of_run
-- Some tasks of a run that failed before a moment.
SELECT task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
FROM scanner.task
WHERE run_id = $1 AND state = 'FAILED' AND ended_at < $2
LIMIT $3

-- name: parts_of_scans
-- The scans that are platforms of these indexes.
SELECT scan_id FROM scanner.scan_part WHERE index_id = ANY($1::uuid[])

-- name: lock_scans
-- Scans, locked in an order that is the same for all.
SELECT scan_id FROM scanner.scan WHERE scan_id = ANY($1::uuid[]) ORDER BY scan_id FOR UPDATE

-- name: cancel_tasks
-- Ends open tasks that were called off.
UPDATE scanner.task
SET state = 'FAILED', reason = $2, message = $3, ended_at = $4, loan = NULL
WHERE task_id = ANY($1::uuid[]) AND ended_at IS NULL
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at

-- name: drop_work
-- Takes back the work on scans that nobody is at and nobody waits for any more, be it as a platform of an index.
DELETE FROM scanner.work AS w
WHERE w.scan_id = ANY($1::uuid[]) AND w.leased_until IS NULL
    AND NOT EXISTS (SELECT FROM scanner.task AS t WHERE t.scan_id = w.scan_id AND t.ended_at IS NULL)
    AND NOT EXISTS (
        SELECT FROM scanner.scan_part AS p
        JOIN scanner.task AS t ON t.scan_id = p.index_id AND t.ended_at IS NULL
        WHERE p.scan_id = w.scan_id
    )
RETURNING w.scan_id

-- name: cancel_scans
-- Ends scans that nobody works on and nobody waits for.
UPDATE scanner.scan AS s
SET state = 'FAILED', reason = $2, message = $3, ended_at = $4
WHERE s.scan_id = ANY($1::uuid[]) AND s.ended_at IS NULL
    AND NOT EXISTS (SELECT FROM scanner.work WHERE scan_id = s.scan_id)
    AND NOT EXISTS (SELECT FROM scanner.task AS t WHERE t.scan_id = s.scan_id AND t.ended_at IS NULL)
    AND NOT EXISTS (
        SELECT FROM scanner.scan_part AS p
        JOIN scanner.task AS t ON t.scan_id = p.index_id AND t.ended_at IS NULL
        WHERE p.scan_id = s.scan_id
    )

-- name: reopen_task
-- A task that failed waits again, for a scan that the caller has locked.
UPDATE scanner.task
SET scan_id = $2, state = $3, reason = '', message = '', coverage = '', findings = '{}', advisories_version = '',
    ended_at = NULL, joined = nextval('scanner.turn')
WHERE task_id = $1 AND state = 'FAILED'
RETURNING task_id, instance_id, repo_id, namespace, repository, tag, digest, engine, scan_id, state, reason, message,
    coverage, findings, advisories_version, rule_ids, target_ids, traceparent, run_id, created_at, ended_at
