-- What a registry may have no more, or otherwise than we know it: whoever has it is asked. A tag; without one a digest;
-- without either a repository; and where that is empty too, the instance.
CREATE TABLE scanner.question (
    instance_id text NOT NULL,
    repo_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    tag text NOT NULL,
    digest text NOT NULL,
    heard int NOT NULL DEFAULT 1,  -- reasons to ask so far: an answer counts when none came since the question
    asked int NOT NULL DEFAULT 0,
    noted_at timestamptz NOT NULL DEFAULT now(),
    ask_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, repo_id, tag, digest)
) WITH (fillfactor = 70);
CREATE INDEX question_due ON scanner.question (asked, ask_at);

-- What went, why, and when: rows are added, and finished once their results went too; nothing else is ever changed.
CREATE TABLE scanner.removal (
    removal_id uuid PRIMARY KEY,
    instance_id text NOT NULL,
    repo_id text NOT NULL,
    namespace text NOT NULL,
    repository text NOT NULL,
    tag text NOT NULL,  -- empty unless a tag was deleted
    digest text NOT NULL,  -- of the tag, or deleted by itself; empty for a repository
    cause text NOT NULL,
    noted_at timestamptz NOT NULL,  -- when the registry, or rules, said that it is gone
    due_at timestamptz NOT NULL,  -- from when on results may go
    work_at timestamptz NOT NULL,  -- when somebody looks next
    ended_at timestamptz,  -- when the last of them went; NULL: not yet
    tasks int NOT NULL DEFAULT 0,
    reports int NOT NULL DEFAULT 0
);
CREATE INDEX removal_work ON scanner.removal (work_at) WHERE ended_at IS NULL;
CREATE INDEX removal_newest ON scanner.removal (noted_at DESC, removal_id DESC);
CREATE INDEX removal_ended ON scanner.removal (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX removal_place ON scanner.removal (repo_id, tag, noted_at DESC);

-- When a tag or digest was last pulled, to the minute or so.
CREATE TABLE scanner.pull (
    repo_id text NOT NULL,
    reference text NOT NULL,  -- tag or digest
    pulled_at timestamptz NOT NULL,
    PRIMARY KEY (repo_id, reference)
) WITH (fillfactor = 70);

-- Number of the last walk over the registry that found the tag.
ALTER TABLE scanner.tag ADD COLUMN listed bigint NOT NULL DEFAULT 0;

-- Whether a digest lives: which tags of a repository have it.
CREATE INDEX tag_digest ON scanner.tag (repo_id, digest);
