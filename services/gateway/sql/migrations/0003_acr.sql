-- Another way to prove a key: an id that is sent, and a secret that only signs. It lives and dies with its key.
CREATE TABLE gateway.access_keys (
    access_key_id text PRIMARY KEY,
    key_id text NOT NULL UNIQUE REFERENCES gateway.keys,
    -- Encrypted, not hashed: to check a signature one needs the secret itself.
    secret_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);

-- Signatures that were used: none is accepted a second time, by whichever gateway. A row is not needed any more once
-- the time that was signed is too old by itself.
CREATE TABLE gateway.nonces (
    nonce_sha256 bytea PRIMARY KEY CHECK (octet_length(nonce_sha256) = 32),
    forget_at timestamptz NOT NULL
);

CREATE INDEX nonces_age ON gateway.nonces (forget_at);
