-- Tasks of one run of a rule belong together.
ALTER TABLE scanner.task ADD COLUMN run_id uuid;
CREATE INDEX task_run ON scanner.task (run_id, created_at DESC, task_id DESC) WHERE run_id IS NOT NULL;

-- What is done with runs as a whole. Who asked for what, rules knows; what came of it, the tasks tell.
CREATE TABLE scanner.run (
    run_id uuid PRIMARY KEY,
    cancelled boolean NOT NULL DEFAULT false,  -- tasks that come in from now on end at once
    sweep text NOT NULL DEFAULT '' CHECK (sweep IN ('', 'CANCEL', 'RERUN')),  -- still to be done with its tasks
    sweep_before timestamptz NOT NULL DEFAULT now(),  -- a task that ended later is not tried again
    changes int NOT NULL DEFAULT 0,  -- what was summed up before a change does not count
    summary jsonb,  -- how it ended; NULL while it is open
    look_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX run_sweep ON scanner.run (run_id) WHERE sweep <> '';
CREATE INDEX run_look ON scanner.run (look_at);
