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

-- What callers of the ACR door say of namespaces and repositories. Nothing else in Drydock has a use for it: it is kept
-- as it was given, for who asks there again. Ids of instances are never given twice, so rows of a deleted one harm nobody.
CREATE TABLE gateway.acr_namespace (
    instance_id text NOT NULL,
    name text COLLATE "C" NOT NULL,
    auto_create_repo boolean NOT NULL,
    default_repo_type text NOT NULL,
    default_repo_configuration jsonb NOT NULL,
    PRIMARY KEY (instance_id, name)
);

CREATE TABLE gateway.acr_repository (
    repo_id text PRIMARY KEY,
    repo_type text NOT NULL,
    summary text NOT NULL,
    detail text NOT NULL,
    modified_at timestamptz NOT NULL
);

-- Delivery chains: gates in the words of the reference.
CREATE TABLE gateway.acr_chain (
    chain_id text PRIMARY KEY,
    instance_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    namespace text NOT NULL,  -- empty: the whole instance
    repository text NOT NULL,  -- empty: the whole namespace
    scope_exclude text[] NOT NULL,
    config_id text NOT NULL,
    config jsonb NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    UNIQUE (instance_id, name)
);
