CREATE SCHEMA gateway;

-- Revoked keys stay: who could call until when must remain answerable.
CREATE TABLE gateway.keys (
    key_id text PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z0-9._-]{1,64}$'),
    role text NOT NULL CHECK (role IN ('ADMIN', 'OPERATOR', 'CLIENT', 'VIEWER', 'WEBHOOK')),
    instance_id text NOT NULL CHECK ((role = 'WEBHOOK') = (instance_id <> '')),
    -- Plain SHA-256 will do: a token is 256 random bits, so there is nothing that slow hashing would protect.
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE UNIQUE INDEX keys_living_name ON gateway.keys (name) WHERE revoked_at IS NULL;
CREATE INDEX keys_living_age ON gateway.keys (created_at, key_id) WHERE revoked_at IS NULL;

CREATE SEQUENCE gateway.image_event_revision AS bigint;
