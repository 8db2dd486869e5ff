CREATE SCHEMA rules;

CREATE TABLE rules.instance (
    instance_id text PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    edition text NOT NULL CHECK (edition IN ('ENTERPRISE', 'PERSONAL')),
    region text NOT NULL,
    address text NOT NULL,
    private_address text NOT NULL,
    plain_http boolean NOT NULL,
    username text NOT NULL,
    -- AES-GCM, bound to the instance; empty where there is no password.
    sealed_password bytea NOT NULL,
    engine text NOT NULL CHECK (engine IN ('TRIVY', 'SECURITY_CENTER')),
    -- Grows with every change of a rule, in the transaction of the change.
    rules_revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE rules.repository (
    repo_id text PRIMARY KEY,
    instance_id text NOT NULL REFERENCES rules.instance ON DELETE CASCADE,
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (instance_id, namespace, name)
);

CREATE TABLE rules.scan_rule (
    rule_id text COLLATE "C" PRIMARY KEY,
    instance_id text NOT NULL REFERENCES rules.instance ON DELETE CASCADE,
    name text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('NAMESPACE', 'REPO', 'INSTANCE')),
    namespaces text[] NOT NULL,
    repo_names text[] NOT NULL,
    tag_pattern text NOT NULL,
    trigger text NOT NULL CHECK (trigger IN ('AUTO', 'MANUAL')),
    scan_type text NOT NULL CHECK (scan_type IN ('VUL', 'SBOM')),
    target_ids text[] NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (instance_id, name)
);

CREATE INDEX scan_rule_by_age ON rules.scan_rule (instance_id, created_at, rule_id);

-- Image events that were taken: hashed, because the id must be unique over all days; old rows are deleted.
CREATE TABLE rules.seen_event (
    event_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
) PARTITION BY HASH (event_id);

CREATE TABLE rules.seen_event_0 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE rules.seen_event_1 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE rules.seen_event_2 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE rules.seen_event_3 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE rules.seen_event_4 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE rules.seen_event_5 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE rules.seen_event_6 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE rules.seen_event_7 PARTITION OF rules.seen_event FOR VALUES WITH (MODULUS 8, REMAINDER 7);

CREATE INDEX seen_event_by_age ON rules.seen_event (seen_at);

CREATE TABLE rules.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
