-- Rules are run, by people and by the clock.
ALTER TABLE rules.scan_rule
    ADD COLUMN schedule text NOT NULL DEFAULT '',  -- cron expression in UTC; empty for none
    ADD COLUMN next_run_at timestamptz,
    ADD COLUMN last_run_id uuid,
    ADD COLUMN skipped text NOT NULL DEFAULT '';  -- why the last run by schedule did not start
CREATE INDEX scan_rule_due ON rules.scan_rule (next_run_at) WHERE next_run_at IS NOT NULL;

-- A run, with the rule as it was when it began. Whoever holds the lease asks the registry; `fence` keeps others out.
CREATE TABLE rules.run (
    run_id uuid PRIMARY KEY,
    rule_id text COLLATE "C" NOT NULL,  -- it may be gone
    instance_id text NOT NULL REFERENCES rules.instance ON DELETE CASCADE,
    scope text NOT NULL,
    namespaces text[] NOT NULL,
    tag_pattern text NOT NULL,
    target_ids text[] NOT NULL,
    scheduled boolean NOT NULL,
    traceparent text NOT NULL,
    state text NOT NULL CHECK (state IN ('ASKING', 'ASKED', 'FAILED', 'CANCELLED')),
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    catalog_cursor text NOT NULL DEFAULT '',
    catalog_read boolean NOT NULL,  -- nothing of the catalogue is left, or it was never needed
    pages int NOT NULL DEFAULT 0,  -- of the catalogue, so far
    attempts int NOT NULL DEFAULT 0,  -- in vain, one after the other
    due_at timestamptz NOT NULL DEFAULT now(),
    owner text NOT NULL DEFAULT '',
    fence bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz  -- when all its images had ended
);
CREATE UNIQUE INDEX run_open ON rules.run (rule_id) WHERE ended_at IS NULL;  -- a run is never doubled
CREATE INDEX run_next ON rules.run (due_at) WHERE state = 'ASKING';
CREATE INDEX run_by_age ON rules.run (created_at);

-- Repositories in the scope of a run, and how far the tags of each were read.
CREATE TABLE rules.run_repository (
    run_id uuid NOT NULL REFERENCES rules.run ON DELETE CASCADE,
    path text COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'READ', 'FAILED')),
    cursor text NOT NULL DEFAULT '',
    pages int NOT NULL DEFAULT 0,
    tags int NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, path)
);
CREATE INDEX run_repository_waiting ON rules.run_repository (run_id, path) WHERE state = 'WAITING';

-- Tags that match: each is asked for once, however often a registry lists it.
CREATE TABLE rules.run_tag (
    run_id uuid NOT NULL REFERENCES rules.run ON DELETE CASCADE,
    path text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'REQUESTED', 'FAILED')),
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, path, tag)
);
CREATE INDEX run_tag_waiting ON rules.run_tag (run_id, path, tag) WHERE state = 'WAITING';
