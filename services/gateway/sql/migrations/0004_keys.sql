-- What a key may reach, {"cri-…": ["namespace", …]}; an empty list means the whole instance, and no entry at all that
-- nothing is limited. Whoever makes keys could make one without limits, and a webhook key has its one instance.
ALTER TABLE gateway.keys
    ADD COLUMN scopes jsonb NOT NULL DEFAULT '{}' CHECK (role NOT IN ('ADMIN', 'WEBHOOK') OR scopes = '{}'),
    ADD COLUMN expires_at timestamptz,
    -- Within a minute or so: it is not written at every call.
    ADD COLUMN last_used_at timestamptz,
    -- The token before the last rotation, which opens until then.
    ADD COLUMN previous_sha256 bytea UNIQUE CHECK (octet_length(previous_sha256) = 32),
    ADD COLUMN previous_until timestamptz,
    ADD CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL));

-- The log ages by time.
CREATE INDEX audit_age ON gateway.audit (recorded_at);

-- While one access key replaces another, a key has two: the old one until then.
ALTER TABLE gateway.access_keys DROP CONSTRAINT access_keys_key_id_key, ADD COLUMN ends_at timestamptz;
CREATE INDEX access_keys_key ON gateway.access_keys (key_id);
