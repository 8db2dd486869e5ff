-- Whether an instance is kept in step with its registry.
ALTER TABLE rules.instance ADD COLUMN sync boolean NOT NULL DEFAULT false;

-- The walk over an instance's registry: the one under way (`ended_at` is NULL), or the last one. A row is there from the
-- first time on that sync is on.
CREATE TABLE rules.sync (
    instance_id text PRIMARY KEY REFERENCES rules.instance ON DELETE CASCADE,
    walk bigint NOT NULL DEFAULT 0,  -- grows with each walk; 0: there was none
    began_at timestamptz,
    ended_at timestamptz,
    due_at timestamptz NOT NULL,  -- when the next walk begins, or this one goes on
    asked_at timestamptz,  -- when somebody wanted one: a walk that began before is followed by another at once
    -- How far it has come: pages of the catalogue, then repositories that only we know of.
    catalogued boolean NOT NULL DEFAULT false,  -- whether the catalogue is behind it
    cursor text NOT NULL DEFAULT '',  -- the page of the catalogue, in the registry's words
    repository text NOT NULL DEFAULT '',  -- the last one that is done
    repositories int NOT NULL DEFAULT 0,
    tags int NOT NULL DEFAULT 0,
    gone int NOT NULL DEFAULT 0,
    skipped int NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,  -- in vain, at the same place
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    fence bigint NOT NULL DEFAULT 0,  -- grows with every lease, and when sync is switched: a late writer has an old one
    leased_until timestamptz  -- NULL: nobody is at it
);
CREATE INDEX sync_due ON rules.sync (due_at);

-- Number of the last walk that found the repository.
ALTER TABLE rules.repository ADD COLUMN walk bigint NOT NULL DEFAULT 0;
