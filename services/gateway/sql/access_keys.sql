-- name: insert_access_key
-- Saves the access key of a key.
INSERT INTO gateway.access_keys (access_key_id, key_id, secret_sealed, created_at) VALUES ($1, $2, $3, $4)

-- name: find_access_key
-- Returns the living key of an access key, with the sealed secret.
SELECT k.key_id, k.name, k.role, k.instance_id, k.created_at, a.secret_sealed
FROM gateway.access_keys AS a
JOIN gateway.keys AS k USING (key_id)
WHERE a.access_key_id = $1 AND k.revoked_at IS NULL

-- name: use_nonce
-- Notes that a nonce is used; returns nothing when it was before.
INSERT INTO gateway.nonces (nonce_sha256, forget_at) VALUES ($1, $2)
ON CONFLICT DO NOTHING
RETURNING 1

-- name: forget_nonces
-- Deletes some of the nonces that could not be used again anyway.
DELETE FROM gateway.nonces
WHERE nonce_sha256 IN (SELECT nonce_sha256 FROM gateway.nonces WHERE forget_at < $1 ORDER BY forget_at LIMIT $2)
