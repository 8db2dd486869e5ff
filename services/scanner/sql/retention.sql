-- name: old_events
-- How far a batch of old image events goes.
SELECT max(seen_at)
FROM (SELECT seen_at FROM scanner.seen_event WHERE seen_at > $1 AND seen_at < $2 ORDER BY seen_at LIMIT $3) AS batch

-- name: forget_events
-- Forgets image events that nobody tells again.
DELETE FROM scanner.seen_event WHERE seen_at > $1 AND seen_at <= $2

-- name: old_tasks
-- How far a batch of old tasks goes.
SELECT max(ended_at)
FROM (SELECT ended_at FROM scanner.task WHERE ended_at > $1 AND ended_at < $2 ORDER BY ended_at LIMIT $3) AS batch

-- name: hold_runs_of_old_tasks
-- Lets nobody try runs of old tasks again, in the order that is the same for all: none counts tasks about to go.
SELECT run_id
FROM scanner.run
WHERE run_id IN (SELECT run_id FROM scanner.task WHERE ended_at > $1 AND ended_at <= $2)
ORDER BY run_id
FOR SHARE

-- name: hold_tags_of_old_tasks
-- Locks the tags of old tasks, in the order that is the same for all: nobody gives a tag a task that is about to go.
SELECT tag
FROM scanner.tag
WHERE (repo_id, tag) IN (SELECT repo_id, tag FROM scanner.task WHERE ended_at > $1 AND ended_at <= $2)
ORDER BY repo_id, tag
FOR UPDATE

-- name: forget_tasks
-- Forgets old tasks, but for each tag that is there: the one it shows, and by each engine the last good one, both on
-- the digest that it has and, where there is none, on any that it had. Those of a run stay until it has been summed up.
DELETE FROM scanner.task AS k
WHERE k.ended_at > $1 AND k.ended_at <= $2
    AND NOT EXISTS (SELECT FROM scanner.run AS r WHERE r.run_id = k.run_id AND r.summary IS NULL)
    AND NOT EXISTS (
        SELECT FROM scanner.tag AS t
        WHERE t.repo_id = k.repo_id AND t.tag = k.tag
            AND (
                t.task_id = k.task_id
                OR (
                    k.state = 'COMPLETE'
                    AND NOT EXISTS (
                        SELECT FROM scanner.task AS better
                        WHERE better.repo_id = k.repo_id AND better.tag = k.tag AND better.engine = k.engine
                            AND better.state = 'COMPLETE'
                            AND (
                                (better.digest = k.digest AND (better.ended_at, better.task_id) > (k.ended_at, k.task_id))
                                OR (k.digest <> t.digest AND better.digest = t.digest)
                                OR (k.digest <> t.digest AND (better.ended_at, better.task_id) > (k.ended_at, k.task_id))
                            )
                    )
                )
            )
    )

-- name: old_scans
-- How far a batch of old scans goes.
SELECT max(ended_at)
FROM (SELECT ended_at FROM scanner.scan WHERE ended_at > $1 AND ended_at < $2 ORDER BY ended_at LIMIT $3) AS batch

-- name: hold_old_scans
-- Locks old scans, in the order that is the same for all: no task begins on one that is about to go.
SELECT scan_id FROM scanner.scan WHERE ended_at > $1 AND ended_at <= $2 ORDER BY scan_id FOR UPDATE

-- name: forget_scans
-- Forgets old scans that no task and no index needs, with their reports.
WITH gone AS (
    DELETE FROM scanner.scan AS s
    WHERE s.ended_at > $1 AND s.ended_at <= $2
        AND NOT EXISTS (SELECT FROM scanner.task AS k WHERE k.scan_id = s.scan_id)
        AND NOT EXISTS (
            SELECT FROM scanner.scan_part AS p
            JOIN scanner.scan AS i ON i.scan_id = p.index_id
            WHERE p.scan_id = s.scan_id
        )
    RETURNING s.scan_id
), parts AS (
    DELETE FROM scanner.scan_part WHERE index_id IN (SELECT scan_id FROM gone)
), reports AS (
    DELETE FROM scanner.report WHERE scan_id IN (SELECT scan_id FROM gone)
)
SELECT scan_id FROM gone

-- name: old_analyses
-- How far a batch of analyses goes that no scan has used for long.
SELECT max(used_at)
FROM (SELECT used_at FROM scanner.layer_analysis WHERE used_at > $1 AND used_at < $2 ORDER BY used_at LIMIT $3) AS batch

-- name: forget_analyses
-- Forgets analyses of layers that no scan has used for long; whoever needs one later reads the layer again.
DELETE FROM scanner.layer_analysis WHERE used_at > $1 AND used_at <= $2

-- name: old_removals
-- How far a batch of removals goes whose results went long ago.
SELECT max(ended_at)
FROM (SELECT ended_at FROM scanner.removal WHERE ended_at > $1 AND ended_at < $2 ORDER BY ended_at LIMIT $3) AS batch

-- name: forget_removals
-- Forgets what went long ago.
DELETE FROM scanner.removal WHERE ended_at > $1 AND ended_at <= $2
