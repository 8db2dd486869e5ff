-- Tags, tasks, scans, work, layer analyses and reports.
-- Tables that grow with the registry are cut by hash, since their keys must hold over all of them.
CREATE SCHEMA scanner;

-- A tag as last seen. `revision` only grows: an older event never moves a tag back.
CREATE TABLE scanner.tag (
    repo_id text NOT NULL,
    tag text NOT NULL,
    instance_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    digest text NOT NULL,
    revision bigint NOT NULL,
    task_id uuid,  -- newest task on this digest; none yet when NULL
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (repo_id, tag)
) PARTITION BY HASH (repo_id);

-- Image events that were taken: a registry that tells one again cannot move a tag back by it.
CREATE TABLE scanner.seen_event (
    event_id uuid NOT NULL PRIMARY KEY,
    seen_at timestamptz NOT NULL
) PARTITION BY HASH (event_id);
CREATE INDEX seen_event_age ON scanner.seen_event (seen_at);

-- What a person or a rule started on one image.
CREATE TABLE scanner.task (
    task_id uuid NOT NULL PRIMARY KEY,
    instance_id text NOT NULL,
    repo_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    tag text NOT NULL,  -- empty when started by digest alone
    digest text NOT NULL,
    engine text NOT NULL,
    scan_id uuid NOT NULL,
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    coverage text NOT NULL DEFAULT '',
    findings jsonb NOT NULL DEFAULT '{}',
    advisories_version text NOT NULL DEFAULT '',
    rule_ids text[] NOT NULL,
    target_ids text[] NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
) PARTITION BY HASH (task_id);
CREATE INDEX task_image ON scanner.task (repo_id, digest, created_at DESC);
CREATE INDEX task_newest ON scanner.task (created_at DESC, task_id DESC);
CREATE INDEX task_scan ON scanner.task (scan_id) WHERE ended_at IS NULL;

-- One digest seen by one engine with one set of advisories; its id follows from these, so it exists once.
CREATE TABLE scanner.scan (
    scan_id uuid NOT NULL PRIMARY KEY,
    instance_id text NOT NULL,
    namespace text NOT NULL,  -- of a repository that has the digest: it is pulled from there
    repository text NOT NULL,
    digest text NOT NULL,
    platform text NOT NULL DEFAULT '',  -- known once the image was resolved; empty for an index
    engine text NOT NULL,
    engine_version text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    coverage text NOT NULL DEFAULT '',
    findings jsonb NOT NULL DEFAULT '{}',
    advisories_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
) PARTITION BY HASH (scan_id);

-- The platforms of an index: one scan each.
CREATE TABLE scanner.scan_part (
    index_id uuid NOT NULL,
    scan_id uuid NOT NULL,
    platform text NOT NULL,
    position int NOT NULL,
    PRIMARY KEY (index_id, scan_id)
) PARTITION BY HASH (index_id);
CREATE INDEX scan_part_scan ON scanner.scan_part (scan_id);

-- Scans that are still to be done, and who is at them. Small and hot: a row goes when its scan ends.
CREATE TABLE scanner.work (
    scan_id uuid PRIMARY KEY,
    lane smallint NOT NULL,  -- 0 push, 1 person, 2 re-evaluation, 3 bulk
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,  -- grows with every lease: a late writer has an old one
    owner text NOT NULL DEFAULT '',
    leased_until timestamptz,  -- NULL: nobody is at it
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX work_next ON scanner.work (lane, due_at) WHERE leased_until IS NULL;
CREATE INDEX work_lost ON scanner.work (leased_until) WHERE leased_until IS NOT NULL;

-- What was read out of a layer, for every image that has it.
CREATE TABLE scanner.layer_analysis (
    layer_digest text NOT NULL,
    analysers text NOT NULL,
    diff_id text NOT NULL,
    analysis bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (layer_digest, analysers)
) PARTITION BY HASH (layer_digest);

-- Reports as they are answered: JSON, compressed with zstd.
CREATE TABLE scanner.report (
    scan_id uuid NOT NULL PRIMARY KEY,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY HASH (scan_id);

DO $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['tag', 'seen_event', 'task', 'scan', 'scan_part', 'layer_analysis', 'report'] LOOP
        FOR part IN 0..7 LOOP
            EXECUTE format(
                'CREATE TABLE scanner.%I PARTITION OF scanner.%I FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
                parent || '_' || part, parent, part
            );
        END LOOP;
    END LOOP;
END
$$;

CREATE TABLE scanner.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
