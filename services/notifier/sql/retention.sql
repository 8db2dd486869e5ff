-- name: old_deliveries
-- How far a batch of deliveries goes that ended long ago.
SELECT max(finished_at)
FROM (
    SELECT finished_at FROM notifier.delivery WHERE finished_at > $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3
) AS batch

-- name: forget_deliveries
-- Forgets deliveries that ended long ago, of events that no bus can bring again.
DELETE FROM notifier.delivery WHERE finished_at > $1 AND finished_at <= $2
