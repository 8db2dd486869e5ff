-- name: deliveries
-- A page of deliveries, newest first, after a position.
SELECT d.delivery_id, d.target_id, coalesce(t.name, '') AS target, d.event_id, d.event_type, d.state, d.reason,
    d.message, d.attempts, d.replays, d.created_at, d.due_at, d.finished_at, d.told_in, d.traceparent
FROM notifier.delivery AS d
LEFT JOIN notifier.target AS t ON t.target_id = d.target_id
WHERE ($1::timestamptz IS NULL OR (d.created_at, d.delivery_id) < ($1, $2::uuid))
    AND ($4 = '' OR d.target_id = $4)
    AND ($5 = '' OR d.state = $5)
    AND ($6::timestamptz IS NULL OR d.created_at >= $6)
    AND ($7::timestamptz IS NULL OR d.created_at < $7)
ORDER BY d.created_at DESC, d.delivery_id DESC
LIMIT $3

-- name: dead_deliveries
-- The same of dead ones: they are few, and have an index of their own.
SELECT d.delivery_id, d.target_id, coalesce(t.name, '') AS target, d.event_id, d.event_type, d.state, d.reason,
    d.message, d.attempts, d.replays, d.created_at, d.due_at, d.finished_at, d.told_in, d.traceparent
FROM notifier.delivery AS d
LEFT JOIN notifier.target AS t ON t.target_id = d.target_id
WHERE ($1::timestamptz IS NULL OR (d.created_at, d.delivery_id) < ($1, $2::uuid))
    AND ($4 = '' OR d.target_id = $4)
    AND d.state = 'DEAD'
    AND ($5::timestamptz IS NULL OR d.created_at >= $5)
    AND ($6::timestamptz IS NULL OR d.created_at < $6)
ORDER BY d.created_at DESC, d.delivery_id DESC
LIMIT $3

-- name: delivery
-- One delivery with what is sent.
SELECT d.delivery_id, d.target_id, coalesce(t.name, '') AS target, d.event_id, d.event_type, d.state, d.reason,
    d.message, d.attempts, d.replays, d.created_at, d.due_at, d.finished_at, d.told_in, d.traceparent, d.body
FROM notifier.delivery AS d
LEFT JOIN notifier.target AS t ON t.target_id = d.target_id
WHERE d.delivery_id = $1

-- name: receipts
-- What became of the last attempts of a delivery, newest first.
SELECT attempt, outcome, reason, message, http_status, milliseconds, excerpt, created_at
FROM notifier.receipt
WHERE delivery_id = $1
ORDER BY created_at DESC, attempt DESC
LIMIT $2

-- name: replay
-- Makes a dead delivery due again, under its id and with its body; attempts and age are counted anew.
UPDATE notifier.delivery
SET state = 'PENDING', due_at = now(), attempts = 0, replays = replays + 1, counted_from = $3, fence = fence + 1,
    reason = '', message = '', finished_at = NULL, lease_owner = NULL, lease_until = NULL
WHERE target_id = $1 AND delivery_id = $2 AND state = 'DEAD'
RETURNING delivery_id

-- name: replay_of_target
-- The same with the oldest dead deliveries to a target; they are due in the order in which they came.
UPDATE notifier.delivery AS d
SET state = 'PENDING', due_at = now() + dead.n * interval '1 microsecond', attempts = 0, replays = d.replays + 1,
    counted_from = $3, fence = d.fence + 1, reason = '', message = '', finished_at = NULL, lease_owner = NULL,
    lease_until = NULL
FROM (
    SELECT target_id, event_id, row_number() OVER (ORDER BY created_at, event_id) AS n
    FROM (
        SELECT target_id, event_id, created_at
        FROM notifier.delivery
        WHERE target_id = $1 AND state = 'DEAD'
        ORDER BY created_at, event_id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS oldest
) AS dead
WHERE d.target_id = dead.target_id AND d.event_id = dead.event_id
RETURNING d.delivery_id

-- name: window_target
-- A target whose window is over while news wait for it; nobody else closes it until the transaction ends.
SELECT t.target_id, t.kind IN ('HTTP', 'HTTPS') AND t.format = 'JSON' AS merges
FROM notifier.target AS t
WHERE EXISTS (
    SELECT 1 FROM notifier.delivery AS d
    WHERE d.target_id = t.target_id AND d.state = 'HELD' AND d.due_at <= now()
)
ORDER BY t.target_id
LIMIT 1
FOR NO KEY UPDATE OF t SKIP LOCKED

-- name: held
-- The oldest news that waited for a window of a target that is over.
SELECT event_id, delivery_id, body, due_at, created_at
FROM notifier.delivery
WHERE target_id = $1 AND state = 'HELD' AND due_at <= now()
ORDER BY created_at, event_id
LIMIT $2
FOR UPDATE

-- name: release_held
-- Makes news that waited due by itself.
UPDATE notifier.delivery
SET state = 'PENDING', due_at = now(), counted_from = $3
WHERE target_id = $1 AND event_id = $2 AND state = 'HELD'

-- name: merge_held
-- Ends news that are told in another delivery.
UPDATE notifier.delivery
SET state = 'MERGED', told_in = $3, finished_at = $4
WHERE target_id = $1 AND event_id = ANY($2::uuid[]) AND state = 'HELD'

-- name: backlog
-- What has not been told: each count goes by a partial index.
SELECT
    (SELECT count(*) FROM notifier.delivery WHERE state = 'PENDING') AS pending,
    (SELECT count(*) FROM notifier.delivery WHERE state = 'HELD') AS held,
    (SELECT count(*) FROM notifier.delivery WHERE state = 'DEAD') AS dead,
    (SELECT count(*) FROM notifier.inquiry WHERE ended_at IS NULL) AS questions,
    coalesce((
        SELECT extract(epoch FROM now() - min(due_at)) FROM notifier.delivery WHERE state = 'PENDING' AND due_at < now()
    ), 0)::float8 AS overdue_seconds
