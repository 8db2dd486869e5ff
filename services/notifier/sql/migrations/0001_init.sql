CREATE SCHEMA notifier;

CREATE TABLE notifier.target (
    target_id text PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('HTTP', 'HTTPS')),
    url text NOT NULL,
    created_at timestamptz NOT NULL,
    -- When a worker last took a delivery to it: the target that waited longest is served first.
    served_at timestamptz
);

-- One row for each (target, event), whatever happens: hashed by target, because that pair must be unique for good.
CREATE TABLE notifier.delivery (
    target_id text NOT NULL,
    event_id uuid NOT NULL,
    -- The same over all attempts: who receives it twice knows it by this.
    delivery_id uuid NOT NULL,
    event_type text NOT NULL,
    body bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD', 'CANCELLED')),
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    lease_owner text,
    lease_until timestamptz,
    -- Grows with every lease: whoever holds an older one writes nothing.
    fence bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (target_id, event_id)
) PARTITION BY HASH (target_id);

CREATE TABLE notifier.delivery_0 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE notifier.delivery_1 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE notifier.delivery_2 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE notifier.delivery_3 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE notifier.delivery_4 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE notifier.delivery_5 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE notifier.delivery_6 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE notifier.delivery_7 PARTITION OF notifier.delivery FOR VALUES WITH (MODULUS 8, REMAINDER 7);

CREATE INDEX delivery_due ON notifier.delivery (target_id, due_at) WHERE state = 'PENDING';
-- Few rows: what is under way to each target just now.
CREATE INDEX delivery_leased ON notifier.delivery (target_id, lease_until)
WHERE state = 'PENDING' AND lease_until IS NOT NULL;
CREATE INDEX delivery_finished ON notifier.delivery (finished_at) WHERE finished_at IS NOT NULL;

-- One row for each attempt; rows only age.
CREATE TABLE notifier.receipt (
    delivery_id uuid NOT NULL,
    target_id text NOT NULL,
    event_id uuid NOT NULL,
    attempt int NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('DELIVERED', 'TRY_AGAIN', 'GIVE_UP', 'UNKNOWN')),
    reason text NOT NULL,
    message text NOT NULL,
    -- Of the answer; null where there was none.
    http_status int,
    milliseconds int NOT NULL,
    excerpt text NOT NULL,
    created_at timestamptz NOT NULL
) PARTITION BY RANGE (created_at);

CREATE TABLE notifier.receipt_default PARTITION OF notifier.receipt DEFAULT;

CREATE INDEX receipt_of_delivery ON notifier.receipt (delivery_id, attempt);
