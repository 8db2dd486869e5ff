-- What each target is told of, and when; a target without a row is told as ever: of findings and of failures.
CREATE TABLE notifier.subscription (
    target_id text PRIMARY KEY REFERENCES notifier.target (target_id) ON DELETE CASCADE,
    occasions text[] NOT NULL,
    min_severity text NOT NULL,
    new_only boolean NOT NULL,
    -- Each empty: all of them.
    instances text[] NOT NULL,
    namespaces text[] NOT NULL,
    repositories text[] NOT NULL,
    tag_pattern text NOT NULL,
    -- Length of the windows whose news are told together; 0: each at once.
    window_seconds int NOT NULL CHECK (window_seconds >= 0),
    updated_at timestamptz NOT NULL
);

-- An event of which the scanner is asked what is new before some targets are told, or not.
CREATE TABLE notifier.inquiry (
    event_id uuid PRIMARY KEY,
    target_ids text[] NOT NULL,
    -- The event as it came; empty once answered.
    event bytea NOT NULL,
    traceparent text NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- ANSWERED, or why nobody could answer; empty until it has ended.
    answer text NOT NULL DEFAULT ''
);
CREATE INDEX inquiry_due ON notifier.inquiry (due_at) WHERE ended_at IS NULL;
CREATE INDEX inquiry_ended ON notifier.inquiry (ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE notifier.delivery
    -- Trace of what is told.
    ADD COLUMN traceparent text NOT NULL DEFAULT '',
    -- Its age counts from there: it was replayed, or waited for the end of its window; null: from its creation.
    ADD COLUMN counted_from timestamptz,
    ADD COLUMN replays int NOT NULL DEFAULT 0,
    -- The delivery that tells it together with others.
    ADD COLUMN told_in uuid,
    DROP CONSTRAINT delivery_state_check,
    -- HELD: waits for the end of its window at due_at. MERGED: told in another delivery.
    ADD CONSTRAINT delivery_state_check
        CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD', 'CANCELLED', 'HELD', 'MERGED'));

CREATE INDEX delivery_held ON notifier.delivery (target_id, due_at) WHERE state = 'HELD';
CREATE INDEX delivery_by_id ON notifier.delivery (delivery_id);
CREATE INDEX delivery_listed ON notifier.delivery (created_at DESC, delivery_id DESC);
CREATE INDEX delivery_dead ON notifier.delivery (created_at DESC, delivery_id DESC) WHERE state = 'DEAD';
CREATE INDEX delivery_told_in ON notifier.delivery (told_in) WHERE told_in IS NOT NULL;

-- Rules of the reference's event centre: who of an instance's images is told to which target, besides scan rules.
CREATE TABLE notifier.event_rule (
    rule_id text PRIMARY KEY,
    instance_id text NOT NULL,
    name text COLLATE "C" NOT NULL,
    event_type text NOT NULL,
    target_id text NOT NULL REFERENCES notifier.target (target_id) ON DELETE CASCADE,
    scope text NOT NULL CHECK (scope IN ('INSTANCE', 'NAMESPACE', 'REPO')),
    namespaces text[] NOT NULL,
    repo_names text[] NOT NULL,
    tag_pattern text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (instance_id, name)
);
CREATE INDEX event_rule_target ON notifier.event_rule (target_id);

-- What such a rule had told; each event once for each rule.
CREATE TABLE notifier.event_record (
    record_id text PRIMARY KEY,
    rule_id text NOT NULL,
    rule_name text NOT NULL,
    instance_id text NOT NULL,
    target_id text NOT NULL,
    event_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    event_type text NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    tag text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (rule_id, event_id)
);
CREATE INDEX event_record_listed ON notifier.event_record (instance_id, created_at DESC, record_id DESC);
CREATE INDEX event_record_age ON notifier.event_record (created_at);
