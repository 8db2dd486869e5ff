-- name: publish
-- Appends messages and wakes readers, in one statement and so in one transaction.
WITH appended AS (
    INSERT INTO bus.message (topic, partition, key, value, headers)
    SELECT topic, partition, key, value, headers
    FROM unnest($1::text[], $2::int[], $3::bytea[], $4::bytea[], $5::jsonb[]) WITH ORDINALITY
        AS m (topic, partition, key, value, headers, n)
    ORDER BY n
    RETURNING topic
)
SELECT pg_notify('drydock_bus_' || replace(topic, '.', '_'), '') FROM (SELECT DISTINCT topic FROM appended) AS t

-- name: read
-- Next messages of the partitions that a member holds, each after its position.
SELECT p.partition, m.xid, m.seq, m.key, m.value, m.headers
FROM unnest($3::int[]) AS p (partition)
LEFT JOIN bus.position AS at
    ON at.consumer_group = $1 AND at.topic = $2 AND at.partition = p.partition
CROSS JOIN LATERAL (
    SELECT xid, seq, key, value, headers
    FROM bus.message
    WHERE topic = $2
        AND partition = p.partition
        AND (xid, seq) > (coalesce(at.xid, 0), coalesce(at.seq, 0))
        AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY xid, seq
    LIMIT $4
) AS m
ORDER BY p.partition, m.xid, m.seq

-- name: commit
-- Moves a position forward, never back; not to a place of another cluster, from before the bus was restored.
INSERT INTO bus.position AS p (consumer_group, topic, partition, xid, seq)
SELECT $1::text, $2::text, $3::int, $4::bigint, $5::bigint
WHERE $4 < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ON CONFLICT (consumer_group, topic, partition) DO UPDATE
SET xid = excluded.xid, seq = excluded.seq, updated_at = now()
WHERE (p.xid, p.seq) < (excluded.xid, excluded.seq)

-- name: is_foreign
-- Whether a topic names transactions that this cluster has not begun yet.
WITH next AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid)
SELECT EXISTS (SELECT FROM bus.position WHERE topic = $1 AND xid >= (SELECT xid FROM next))
    OR EXISTS (
        SELECT FROM unnest($2::int[]) AS p (partition)
        CROSS JOIN LATERAL (
            SELECT FROM bus.message
            WHERE topic = $1 AND partition = p.partition AND xid >= (SELECT xid FROM next)
            LIMIT 1
        ) AS m
    )

-- name: lock_rebase
-- One rebase at a time.
SELECT pg_advisory_xact_lock(hashtext('drydock.bus.rebase'))

-- name: lock_bus
-- Keeps writers away; readers go on.
LOCK TABLE bus.message, bus.position IN SHARE ROW EXCLUSIVE MODE

-- name: rebase_positions
-- Puts positions right before the first message, as they were written, that the group has not read.
UPDATE bus.position AS p
SET xid = pg_current_xact_id()::text::bigint,
    updated_at = now(),
    seq = least(p.seq, (
        SELECT min(m.seq) - 1
        FROM bus.message AS m
        WHERE m.topic = p.topic AND m.partition = p.partition AND (m.xid, m.seq) > (p.xid, p.seq)
    ))
WHERE p.topic = $1
RETURNING p.partition

-- name: rebase_messages
-- Puts messages into the order in which they were written; positions must have been put there before.
UPDATE bus.message SET xid = pg_current_xact_id()::text::bigint WHERE topic = $1

-- name: join
-- Enters a member with the session that it lives by.
INSERT INTO bus.member (member_id, consumer_group, topic, backend_pid, backend_start)
SELECT $1, $2, $3, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()

-- name: leave
-- Forgets a member, and those of the group whose session is gone.
DELETE FROM bus.member AS m
WHERE m.member_id = $1
    OR (m.consumer_group = $2 AND m.topic = $3 AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity AS a
        WHERE a.pid = m.backend_pid AND a.backend_start = m.backend_start
    ))

-- name: members
-- Living members of a group on a topic, in a fixed order.
SELECT m.member_id
FROM bus.member AS m
JOIN pg_stat_activity AS a ON a.pid = m.backend_pid AND a.backend_start = m.backend_start
WHERE m.consumer_group = $1 AND m.topic = $2
ORDER BY m.member_id

-- name: browse
-- What is kept of a topic from a place on: the messages, and of the first one too many only where it stands.
SELECT partition, xid, seq, key, headers, created_at,
    CASE WHEN bytes_before < $6::bigint AND n <= $5::int THEN value END AS value
FROM (
    SELECT partition, xid, seq, key, value, headers, created_at,
        row_number() OVER (ORDER BY partition, xid, seq) AS n,
        sum(octet_length(value)) OVER (ORDER BY partition, xid, seq ROWS UNBOUNDED PRECEDING)
            - octet_length(value) AS bytes_before
    FROM (
        SELECT partition, xid, seq, key, value, headers, created_at
        FROM bus.message
        WHERE topic = $1
            AND (partition, xid, seq) >= ($2::int, $3::bigint, $4::bigint)
            AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        ORDER BY partition, xid, seq
        LIMIT $5::int + 1
    ) AS first
) AS measured
ORDER BY partition, xid, seq

-- name: tail
-- Next messages of every partition, each after its place, in the order of all; since a moment, where one is named.
SELECT p.partition, m.xid, m.seq, m.key, m.value, m.headers, m.created_at
FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS p (partition, xid, seq)
CROSS JOIN LATERAL (
    SELECT xid, seq, key, value, headers, created_at
    FROM bus.message
    WHERE topic = $1
        AND partition = p.partition
        AND (xid, seq) > (p.xid, p.seq)
        AND ($5::timestamptz IS NULL OR created_at >= $5)
        AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY xid, seq
    LIMIT $6
) AS m
ORDER BY m.xid, m.seq
LIMIT $6

-- name: lag
-- Messages after a group's positions; those of one partition are counted up to a limit.
SELECT coalesce(sum(unread.n), 0)::bigint
FROM unnest($3::int[]) AS p (partition)
LEFT JOIN bus.position AS at
    ON at.consumer_group = $1 AND at.topic = $2 AND at.partition = p.partition
CROSS JOIN LATERAL (
    SELECT count(*) AS n
    FROM (
        SELECT FROM bus.message
        WHERE topic = $2
            AND partition = p.partition
            AND (xid, seq) > (coalesce(at.xid, 0), coalesce(at.seq, 0))
        LIMIT $4::int
    ) AS first
) AS unread
