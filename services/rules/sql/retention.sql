-- name: old_events
-- How far a batch of old image events goes.
SELECT max(seen_at)
FROM (SELECT seen_at FROM rules.seen_event WHERE seen_at > $1 AND seen_at < $2 ORDER BY seen_at LIMIT $3) AS batch

-- name: forget_events
-- Forgets image events that no bus can bring again.
DELETE FROM rules.seen_event WHERE seen_at > $1 AND seen_at <= $2
