-- Who asked for which change. Rows are added before the change is tried, and never changed but for their outcome.
CREATE TABLE gateway.audit (
    record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    instance text NOT NULL,
    subject jsonb NOT NULL,
    -- Empty while the call runs.
    outcome text NOT NULL DEFAULT '',
    request_id text NOT NULL
);

CREATE INDEX audit_instance ON gateway.audit (instance, record_id) WHERE instance <> '';
