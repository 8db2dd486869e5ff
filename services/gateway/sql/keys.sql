-- name: insert_key
-- Saves a key unless a living one has its name; returns its id then.
INSERT INTO gateway.keys (key_id, name, role, instance_id, token_sha256, created_at, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING key_id

-- name: find_living_key
-- Returns the key that a hash opens now, and until when it does.
SELECT
    key_id, name, role, instance_id, created_at, scopes, expires_at, last_used_at, previous_until,
    CASE WHEN token_sha256 = $1 THEN token_sha256 ELSE previous_sha256 END AS matched,
    LEAST(expires_at, CASE WHEN token_sha256 = $1 THEN NULL ELSE previous_until END) AS ends_at
FROM gateway.keys
WHERE
    (token_sha256 = $1 OR (previous_sha256 = $1 AND previous_until > $2))
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > $2)

-- name: was_spent
-- Tells whether a key that is revoked or expired has this hash, or some key had it before.
SELECT EXISTS (
    SELECT 1 FROM gateway.keys
    WHERE (token_sha256 = $1 AND (revoked_at IS NOT NULL OR expires_at <= $2)) OR previous_sha256 = $1
)

-- name: touch_key
-- Notes that a key is used, unless that was noted after $3.
UPDATE gateway.keys SET last_used_at = $2 WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)

-- name: list_keys
-- Lists living keys after a position, oldest first; those whose time is over among them.
SELECT key_id, name, role, instance_id, created_at, scopes, expires_at, last_used_at, previous_until
FROM gateway.keys
WHERE revoked_at IS NULL AND (created_at, key_id) > ($1, $2)
ORDER BY created_at, key_id
LIMIT $3

-- name: rotate_key
-- Gives the living key with this id or name another hash; the one that it had opens until $4. Returns the key and the
-- hashes that it had.
UPDATE gateway.keys AS key
SET token_sha256 = $2, previous_sha256 = before.token_sha256, previous_until = $4
FROM (
    SELECT key_id, token_sha256, previous_sha256 FROM gateway.keys
    WHERE (key_id = $1 OR name = $1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
    FOR UPDATE
) AS before
WHERE key.key_id = before.key_id
RETURNING
    key.key_id, name, role, instance_id, created_at, scopes, expires_at, last_used_at, previous_until,
    before.token_sha256 AS old_sha256, before.previous_sha256 AS older_sha256

-- name: revoke_key
-- Revokes the living key with this id or name and returns its hashes.
UPDATE gateway.keys
SET revoked_at = $2
WHERE (key_id = $1 OR name = $1) AND revoked_at IS NULL
RETURNING token_sha256, previous_sha256

-- name: lock_bootstrap
-- Lets one process at a time replace the key of the token file.
SELECT pg_advisory_xact_lock(hashtext('drydock.gateway.bootstrap'))
