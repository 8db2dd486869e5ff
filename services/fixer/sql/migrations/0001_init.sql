CREATE SCHEMA fixer;

-- One row for each fix that somebody asked for. A few a day, not a few a second: no partitions.
CREATE TABLE fixer.task (
    task_id uuid PRIMARY KEY,
    instance_id text NOT NULL,
    repo_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    tag text NOT NULL,
    -- What the tag held when it was asked for.
    digest text NOT NULL,
    -- Empty: all that can be fixed.
    findings text[] NOT NULL,
    overwrite boolean NOT NULL,
    -- Who is told: those that the order names, and those of the rules that cover the image.
    target_ids text[] NOT NULL,
    rule_ids text[] NOT NULL,
    rule_target_ids text[] NOT NULL,
    created_by text NOT NULL,
    traceparent text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CHECK (
        state IN ('PENDING', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'PARTIAL', 'FAILED', 'REVERTING', 'REVERTED')
    ),
    -- Something is still to be done.
    open boolean NOT NULL GENERATED ALWAYS AS (state IN ('PENDING', 'RUNNING', 'RETRYING', 'REVERTING')) STORED,
    -- How the fix ended, whatever came later; null while it has not.
    outcome text CHECK (outcome IN ('SUCCEEDED', 'PARTIAL', 'FAILED')),
    stage text CHECK (stage IN ('PLANNING', 'FETCHING', 'BUILDING', 'PUSHING', 'PROVING')),
    progress_message text NOT NULL DEFAULT '',
    progress_done int NOT NULL DEFAULT 0,
    progress_total int NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    hint text NOT NULL DEFAULT '',
    -- Written before the tag is: whoever goes on after a crash knows its own work by it. Null before.
    pushed_tag text,
    pushed_digest text NOT NULL DEFAULT '',
    pushed_previous text NOT NULL DEFAULT '',
    pushed_backup text NOT NULL DEFAULT '',
    -- JSON; null before the end, and after a failure.
    result bytea,
    scan_task_id text NOT NULL DEFAULT '',
    attached jsonb NOT NULL DEFAULT '{}',
    fixed int NOT NULL DEFAULT 0,
    still_present int NOT NULL DEFAULT 0,
    not_fixable int NOT NULL DEFAULT 0,
    new_findings int NOT NULL DEFAULT 0,
    revert_reason text NOT NULL DEFAULT '',
    revert_message text NOT NULL DEFAULT '',
    cancel_asked boolean NOT NULL DEFAULT false,
    owner text NOT NULL DEFAULT '',
    leased_until timestamptz,
    -- Grows with every lease: whoever holds an older one writes nothing.
    fence bigint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    reverted_at timestamptz,
    -- The end of whatever was done last: its age counts from there.
    settled_at timestamptz
);

-- Of one tag, one thing is done at a time: two fixes would each take the other's work for somebody else's.
CREATE UNIQUE INDEX task_open ON fixer.task (repo_id, tag) WHERE open;
CREATE INDEX task_due ON fixer.task (due_at) WHERE open;
CREATE INDEX task_listed ON fixer.task (created_at DESC, task_id DESC);
CREATE INDEX task_of_instance ON fixer.task (instance_id, created_at DESC, task_id DESC);
CREATE INDEX task_settled ON fixer.task (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE fixer.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
