-- name: insert_robot
-- Makes a row for a robot that there is none for yet.
INSERT INTO notifier.robot (robot, resting_until) VALUES ($1, '-infinity') ON CONFLICT (robot) DO NOTHING

-- name: lock_due_robots
-- Robots that are not resting and have something to be told, each locked: nobody else calls it meanwhile.
SELECT r.robot, kinds.kind
FROM notifier.robot AS r
CROSS JOIN LATERAL (
    SELECT t.kind
    FROM notifier.target AS t
    WHERE t.robot = r.robot AND EXISTS (
        SELECT 1
        FROM notifier.delivery AS d
        WHERE d.target_id = t.target_id AND d.state = 'PENDING' AND d.due_at <= now()
            AND (d.lease_until IS NULL OR d.lease_until <= now())
    )
    LIMIT 1
) AS kinds
WHERE r.resting_until <= now()
ORDER BY r.resting_until, r.robot
LIMIT $1
FOR NO KEY UPDATE OF r SKIP LOCKED

-- name: lock_robot
-- One robot, locked, and how many seconds it rests yet.
SELECT extract(EPOCH FROM greatest(resting_until, clock_timestamp()) - clock_timestamp())::float AS resting
FROM notifier.robot
WHERE robot = $1
FOR NO KEY UPDATE

-- name: places_of_robot
-- How many places of a robot that one holds are taken, how many seconds until the first is free, and since the last
-- one was taken. By a statement of its own, after the lock: one that waited sees what was there before it waited.
SELECT count(*) AS taken,
    extract(EPOCH FROM min(until) - clock_timestamp())::float AS free_in,
    extract(EPOCH FROM clock_timestamp() - max(taken_at))::float AS since_last
FROM notifier.robot_call
WHERE robot = $1 AND until > clock_timestamp()

-- name: lease_for_robot
-- Leases for one call what is due to one target of a robot, oldest first: what cannot be merged goes by itself.
WITH chosen AS (
    SELECT t.target_id
    FROM notifier.target AS t
    WHERE t.robot = $1
        AND EXISTS (
            SELECT 1
            FROM notifier.delivery AS d
            WHERE d.target_id = t.target_id AND d.state = 'PENDING' AND d.due_at <= now()
                AND (d.lease_until IS NULL OR d.lease_until <= now())
        )
        -- One call at a time, so that none overtakes another.
        AND NOT EXISTS (
            SELECT 1
            FROM notifier.delivery AS b
            WHERE b.target_id = t.target_id AND b.state = 'PENDING' AND b.lease_until > now()
        )
    ORDER BY t.served_at NULLS FIRST, t.target_id
    LIMIT 1
    FOR NO KEY UPDATE OF t SKIP LOCKED
), waiting AS (
    SELECT e.target_id, e.event_id, e.created_at, e.alone, e.lease_owner IS NOT NULL AS lost
    FROM notifier.delivery AS e
    JOIN chosen USING (target_id)
    WHERE e.state = 'PENDING' AND e.due_at <= now() AND (e.lease_until IS NULL OR e.lease_until <= now())
    ORDER BY e.created_at, e.event_id
    LIMIT $4
    FOR UPDATE OF e SKIP LOCKED
), head AS (
    SELECT event_id, alone FROM waiting ORDER BY created_at, event_id LIMIT 1
), due AS (
    SELECT w.target_id, w.event_id, w.created_at, w.lost
    FROM waiting AS w
    CROSS JOIN head
    WHERE w.event_id = head.event_id OR NOT (head.alone OR w.alone)
), served AS (
    UPDATE notifier.target AS t SET served_at = now() FROM chosen WHERE t.target_id = chosen.target_id
), leased AS (
    UPDATE notifier.delivery AS d
    SET lease_owner = $2, lease_until = now() + make_interval(secs => $3), fence = d.fence + 1,
        attempts = d.attempts + 1
    FROM due
    WHERE d.target_id = due.target_id AND d.event_id = due.event_id
    RETURNING d.target_id, d.event_id, d.delivery_id, d.event_type, d.body, d.attempts, d.fence,
        coalesce(d.counted_from, d.created_at) AS created_at, d.traceparent,
        due.lost
)
SELECT target_id, event_id, delivery_id, event_type, body, attempts, fence, created_at, traceparent, lost
FROM leased
ORDER BY created_at, event_id

-- name: take_place
-- A call takes a place until so many seconds from now: when it ends, that is put right.
INSERT INTO notifier.robot_call (call_id, robot, taken_at, until)
VALUES ($1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $3))

-- name: end_call
-- A call has ended: its place is taken for one more window.
UPDATE notifier.robot_call SET until = clock_timestamp() + make_interval(secs => $2) WHERE call_id = $1

-- name: rest_robot
-- Nobody calls a robot for so many seconds.
UPDATE notifier.robot
SET resting_until = greatest(resting_until, clock_timestamp() + make_interval(secs => $2))
WHERE robot = $1

-- name: forget_calls
-- Forgets calls of a robot whose places are free again.
DELETE FROM notifier.robot_call WHERE robot = $1 AND until <= clock_timestamp()

-- name: release
-- Gives back a lease that was not used: no attempt was made.
UPDATE notifier.delivery
SET lease_owner = NULL, lease_until = NULL, attempts = attempts - 1
WHERE target_id = $1 AND event_id = $2 AND fence = $3 AND state = 'PENDING'

-- name: part
-- From now on this notification goes by itself.
UPDATE notifier.delivery SET alone = true WHERE target_id = $1 AND event_id = $2 AND fence = $3 AND state = 'PENDING'
