-- What images are matched by, once for all that have the same, so that newer advisories are held against it without
-- the registry (decision 0044).

-- Sets of advisories that this database has seen, the youngest of each engine last: inventories lag behind it until they
-- are matched, and reports that cannot be matched say that they do.
CREATE TABLE scanner.generation (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engine text NOT NULL,
    version text NOT NULL,
    built_at timestamptz NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,  -- when the last inventory was matched; NULL: not yet
    unmarked boolean NOT NULL DEFAULT true,  -- whether reports without an inventory are still to be marked
    inventories int NOT NULL DEFAULT 0,  -- matched so far
    failed int NOT NULL DEFAULT 0,  -- of these could not be
    images int NOT NULL DEFAULT 0,  -- of which something else is said since
    events int NOT NULL DEFAULT 0,
    UNIQUE (engine, version)
) WITH (fillfactor = 50);

CREATE INDEX generation_newest ON scanner.generation (engine, generation);

CREATE TABLE scanner.inventory (
    digest text NOT NULL PRIMARY KEY,  -- of the content, before it was packed
    content bytea NOT NULL,
    generation bigint NOT NULL,  -- that all reports which rest on it were judged by
    touched int NOT NULL DEFAULT 0,  -- grows with each report that came in judged by an older one
    due_at timestamptz NOT NULL DEFAULT now()  -- whoever matches it has it until then
) PARTITION BY HASH (digest);
CREATE INDEX inventory_due ON scanner.inventory (generation, due_at);

-- What matching says of an inventory: a row for each answer that some report rests on.
CREATE TABLE scanner.verdict (
    inventory text NOT NULL,
    verdict text NOT NULL,  -- digest of the content, before it was packed
    content bytea,  -- NULL while the reports say so themselves
    generation bigint NOT NULL,  -- that last gave this answer
    advisories_version text NOT NULL,
    built_at text NOT NULL,  -- as reports write it
    sample boolean NOT NULL,
    facts_at text NOT NULL,
    judged_at timestamptz NOT NULL,
    PRIMARY KEY (inventory, verdict)
) PARTITION BY HASH (inventory);

DO $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['inventory', 'verdict'] LOOP
        FOR part IN 0..7 LOOP
            EXECUTE format(
                'CREATE TABLE scanner.%I PARTITION OF scanner.%I FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
                parent || '_' || part, parent, part
            );
        END LOOP;
    END LOOP;
END
$$;

ALTER TABLE scanner.report
    ADD COLUMN inventory text,  -- NULL: it cannot be matched again
    ADD COLUMN verdict text,  -- that it rests on now
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,  -- that the scan itself was judged by; 0: none that we know
    ADD COLUMN beside jsonb NOT NULL DEFAULT '{}',  -- findings by severity in which advisories have no say
    ADD COLUMN stale text NOT NULL DEFAULT '';  -- why it was not judged by the advisories that count; empty when it was
CREATE INDEX report_inventory ON scanner.report (inventory, verdict, scan_id) WHERE inventory IS NOT NULL;
CREATE INDEX report_unmarked ON scanner.report (scan_id) WHERE inventory IS NULL AND stale = '';
