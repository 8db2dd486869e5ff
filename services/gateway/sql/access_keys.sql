-- name: insert_access_key
-- Saves the access key of a key.
INSERT INTO gateway.access_keys (access_key_id, key_id, secret_sealed, created_at) VALUES ($1, $2, $3, $4)

-- name: find_access_key
-- Returns the key that an access key opens now, until when it does, and the sealed secret.
SELECT
    k.key_id, k.name, k.role, k.instance_id, k.created_at, k.scopes, k.expires_at, k.last_used_at, k.previous_until,
    a.secret_sealed, LEAST(k.expires_at, a.ends_at) AS ends_at
FROM gateway.access_keys AS a
JOIN gateway.keys AS k USING (key_id)
WHERE
    a.access_key_id = $1
    AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > $2)
    AND (a.ends_at IS NULL OR a.ends_at > $2)

-- name: end_access_keys
-- Has the access key of a key end at $3, and one that was to end anyway at $2; returns how many there are.
WITH ended AS (
    UPDATE gateway.access_keys
    SET ends_at = CASE WHEN ends_at IS NULL THEN $3 ELSE LEAST(ends_at, $2) END
    WHERE key_id = $1
    RETURNING 1
)
SELECT count(*) FROM ended

-- name: use_nonce
-- Notes that a nonce is used; returns nothing when it was before.
INSERT INTO gateway.nonces (nonce_sha256, forget_at) VALUES ($1, $2)
ON CONFLICT DO NOTHING
RETURNING 1

-- name: forget_nonces
-- Deletes some of the nonces that could not be used again anyway.
DELETE FROM gateway.nonces
WHERE nonce_sha256 IN (SELECT nonce_sha256 FROM gateway.nonces WHERE forget_at < $1 ORDER BY forget_at LIMIT $2)
