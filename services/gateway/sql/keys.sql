-- name: insert_key
-- Saves a key unless a living one has its name; returns its id then.
INSERT INTO gateway.keys (key_id, name, role, instance_id, token_sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING key_id

-- name: find_living_key
-- Returns the living key with this hash.
SELECT key_id, name, role, instance_id, token_sha256, created_at
FROM gateway.keys
WHERE token_sha256 = $1 AND revoked_at IS NULL

-- name: was_revoked
-- Tells whether a revoked key has this hash.
SELECT EXISTS (SELECT 1 FROM gateway.keys WHERE token_sha256 = $1 AND revoked_at IS NOT NULL)

-- name: list_keys
-- Lists living keys after a position, oldest first.
SELECT key_id, name, role, instance_id, created_at
FROM gateway.keys
WHERE revoked_at IS NULL AND (created_at, key_id) > ($1, $2)
ORDER BY created_at, key_id
LIMIT $3

-- name: revoke_key
-- Revokes the living key with this id or name and returns its hash.
UPDATE gateway.keys
SET revoked_at = $2
WHERE (key_id = $1 OR name = $1) AND revoked_at IS NULL
RETURNING token_sha256

-- name: lock_bootstrap
-- Lets one process at a time replace the key of the token file.
SELECT pg_advisory_xact_lock(hashtext('drydock.gateway.bootstrap'))
