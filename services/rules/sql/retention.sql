-- name: old_events
-- How far a batch of old image events goes.
SELECT max(seen_at)
FROM (SELECT seen_at FROM rules.seen_event WHERE seen_at > $1 AND seen_at < $2 ORDER BY seen_at LIMIT $3) AS batch

-- name: forget_events
-- Forgets image events that no bus can bring again.
DELETE FROM rules.seen_event WHERE seen_at > $1 AND seen_at <= $2

-- name: old_runs
-- How far a batch of old runs that have ended goes. A few at a time: each may have two hundred thousand tags.
SELECT max(created_at)
FROM (
    SELECT created_at FROM rules.run
    WHERE created_at > $1 AND created_at < $2 AND ended_at IS NOT NULL
    ORDER BY created_at
    LIMIT least($3::int, 5)
) AS batch

-- name: forget_runs
-- Forgets runs that were begun long ago and have ended, with their repositories and tags.
DELETE FROM rules.run WHERE created_at > $1 AND created_at <= $2 AND ended_at IS NOT NULL
