-- Inside a lane, namespaces take turns. A scan gets its turn when it begins to wait: one after the last of its
-- namespace, and never one that has passed already, so that who comes late is in the round that begins next.
CREATE TABLE scanner.lane (
    lane smallint PRIMARY KEY,  -- 0 push, 1 person, 2 re-evaluation, 3 bulk
    clock bigint NOT NULL DEFAULT 0  -- highest turn that somebody has taken
) WITH (fillfactor = 20);
INSERT INTO scanner.lane (lane) VALUES (0), (1), (2), (3);

ALTER TABLE scanner.work
    ADD COLUMN namespace text NOT NULL DEFAULT '',  -- whose share of the lane it takes, `INSTANCE/NAMESPACE`
    -- NULL: it is put off until `due_at`, and gets one then; so does what the release before this one adds.
    ADD COLUMN turn bigint;
UPDATE scanner.work AS w
SET namespace = s.instance_id || '/' || s.namespace
FROM scanner.scan AS s
WHERE s.scan_id = w.scan_id;

DROP INDEX scanner.work_next;
CREATE INDEX work_turn ON scanner.work (lane, turn, created_at) WHERE leased_until IS NULL AND turn IS NOT NULL;
CREATE INDEX work_namespace ON scanner.work (lane, namespace, turn) WHERE leased_until IS NULL AND turn IS NOT NULL;
CREATE INDEX work_put_off ON scanner.work (due_at) WHERE leased_until IS NULL AND turn IS NULL;
-- What is taken leaves dead entries at the very place where the next is looked for.
ALTER TABLE scanner.work SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);

-- Volatile, so that a statement that moves several scans sees the turns that it has given before.
CREATE FUNCTION scanner.next_turn(in_lane smallint, in_namespace text) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT 1 + greatest(
        (SELECT clock FROM scanner.lane WHERE lane = in_lane),
        (
            SELECT turn FROM scanner.work
            WHERE lane = in_lane AND namespace = in_namespace AND leased_until IS NULL AND turn IS NOT NULL
            ORDER BY turn DESC
            LIMIT 1
        )
    )
$$;

-- What is old goes (docs/retention.md): found by its age, and by what may need it.
CREATE INDEX task_ended ON scanner.task (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX task_of_scan ON scanner.task (scan_id);
CREATE INDEX scan_ended ON scanner.scan (ended_at) WHERE ended_at IS NOT NULL;
-- When a scan last needed the analysis, to the day.
ALTER TABLE scanner.layer_analysis ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX layer_analysis_used ON scanner.layer_analysis (used_at);
