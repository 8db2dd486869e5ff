-- The stream of findings (decision 0043): what was told of each image, so that only differences are told.

-- Images of which there is something to tell, written in the transaction that changed them: a scan of theirs is complete,
-- or their results went. Only ever added, so that no scan waits for another one here.
CREATE TABLE scanner.stream_mark (
    mark_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id text NOT NULL,
    repo_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    digest text NOT NULL,
    gone boolean NOT NULL
);

-- An image as the stream knows it.
CREATE TABLE scanner.stream_image (
    repo_id text NOT NULL,
    digest text NOT NULL,
    instance_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    gone boolean NOT NULL,  -- its results went since it was last looked at
    heard bigint NOT NULL DEFAULT 1,  -- marks so far
    told bigint NOT NULL DEFAULT 0,  -- how many of them are told
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    fence bigint NOT NULL DEFAULT 0,  -- grows with every claim: a late writer has an old one
    PRIMARY KEY (repo_id, digest)
) WITH (fillfactor = 70);
CREATE INDEX stream_image_due ON scanner.stream_image (due_at) WHERE heard > told;
CREATE INDEX stream_image_instance ON scanner.stream_image (instance_id, repo_id, digest);

-- The last scan of a platform by an engine that was told to its end.
CREATE TABLE scanner.stream_scan (
    repo_id text NOT NULL,
    digest text NOT NULL,
    platform text NOT NULL,
    engine text NOT NULL,
    scan_id uuid NOT NULL,
    ended_at timestamptz NOT NULL,  -- of the last scan that was told, be this one or one that went since
    judged_at timestamptz NOT NULL,  -- when it ended, or when newer advisories were held against it
    verdict text NOT NULL,  -- what its report rested on
    advisories_at text NOT NULL,  -- when the youngest advisories were imported that ever judged
    PRIMARY KEY (repo_id, digest, platform, engine)
);

-- Findings that are open in the stream, as they were last told.
CREATE TABLE scanner.stream_finding (
    repo_id text NOT NULL,
    digest text NOT NULL,
    uid uuid NOT NULL,
    platform text NOT NULL,
    engine text NOT NULL,
    fingerprint bytea NOT NULL,  -- of the content: what differs is told again
    content bytea NOT NULL,  -- the findings that are one here, as JSON
    first_seen_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,  -- when the scan ended that was last told of it
    PRIMARY KEY (repo_id, digest, uid)
) PARTITION BY HASH (repo_id);

DO $$
BEGIN
    FOR part IN 0..7 LOOP
        EXECUTE format(
            'CREATE TABLE scanner.stream_finding_%s PARTITION OF scanner.stream_finding FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
            part, part
        );
    END LOOP;
END
$$;

-- An outbox of its own: thousands of findings delay no event of a scan.
CREATE TABLE scanner.finding_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What was found before there was a stream is told by it, too.
INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone)
SELECT DISTINCT ON (repo_id, digest) instance_id, repo_id, namespace, repository, digest, false
FROM scanner.task
WHERE state = 'COMPLETE'
ORDER BY repo_id, digest;
