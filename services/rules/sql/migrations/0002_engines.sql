-- When the registry is looked at next, and when an image is pulled from it next.
ALTER TABLE rules.instance
    ADD COLUMN check_due_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN pull_due_at timestamptz NOT NULL DEFAULT now();

CREATE INDEX instance_by_check ON rules.instance (check_due_at) WHERE edition = 'ENTERPRISE';
CREATE INDEX instance_by_region ON rules.instance (region);

-- Conditions as they were last found; what is not here was never looked at.
CREATE TABLE rules.engine_condition (
    instance_id text NOT NULL REFERENCES rules.instance ON DELETE CASCADE,
    type text NOT NULL,
    status text NOT NULL CHECK (status IN ('True', 'False', 'Unknown')),
    reason text NOT NULL,
    message text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (instance_id, type)
);

-- Who let an engine look into an instance's images: the first one stays.
CREATE TABLE rules.engine_authorization (
    instance_id text NOT NULL REFERENCES rules.instance ON DELETE CASCADE,
    engine text NOT NULL CHECK (engine IN ('TRIVY', 'SECURITY_CENTER')),
    actor text NOT NULL,
    authorized_at timestamptz NOT NULL,
    PRIMARY KEY (instance_id, engine)
);

CREATE INDEX engine_authorization_by_age ON rules.engine_authorization (engine, authorized_at, instance_id);

-- Whoever made an instance before there was an engine to choose has had it scanned by this one.
INSERT INTO rules.engine_authorization (instance_id, engine, actor, authorized_at)
SELECT instance_id, engine, 'whoever created the instance', created_at FROM rules.instance
WHERE engine = 'SECURITY_CENTER';

-- What each scanner last said of itself; one that is silent for longer than it promised counts no more.
CREATE TABLE rules.scanner_report (
    node_id text PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    parts jsonb NOT NULL
);
