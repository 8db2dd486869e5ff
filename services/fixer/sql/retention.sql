-- name: old_tasks
-- How far a batch of tasks goes that ended long ago.
SELECT max(settled_at)
FROM (
    SELECT settled_at FROM fixer.task WHERE settled_at > $1 AND settled_at < $2 ORDER BY settled_at LIMIT $3
) AS batch

-- name: forget_tasks
-- Forgets tasks that ended long ago.
DELETE FROM fixer.task WHERE settled_at > $1 AND settled_at <= $2
