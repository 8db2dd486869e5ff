-- Chat robots and mail beside HTTP; secrets that sign or log in, each sealed like the URL and bound to its target.
ALTER TABLE notifier.target
    DROP CONSTRAINT target_kind_check,
    ADD CONSTRAINT target_kind_check CHECK (kind IN ('HTTP', 'HTTPS', 'DINGTALK', 'SLACK', 'EMAIL')),
    ADD COLUMN format text NOT NULL DEFAULT 'JSON'
    CHECK (format IN ('JSON', 'CLOUDEVENTS_BINARY', 'CLOUDEVENTS_STRUCTURED')),
    -- Certificates that the target's must lead to; the system's when empty. Public.
    ADD COLUMN ca_certificates text NOT NULL DEFAULT '',
    -- Null where there is none.
    ADD COLUMN sealed_secret bytea,
    -- The one before, which goes on signing beside it until then.
    ADD COLUMN sealed_old_secret bytea,
    ADD COLUMN old_secret_until timestamptz,
    -- The chat robot that it writes to, as a hash of what names that; null where nothing is merged.
    ADD COLUMN robot bytea,
    -- Its last attempt took long: those targets together have half of a worker's places, and delay no other.
    ADD COLUMN slow boolean NOT NULL DEFAULT false;

CREATE INDEX target_of_robot ON notifier.target (robot) WHERE robot IS NOT NULL;

-- One row for each chat robot: whoever calls it holds the row while he looks whether it may be called.
CREATE TABLE notifier.robot (
    robot bytea PRIMARY KEY,
    -- Nobody calls it before: it failed, or asked for quiet.
    resting_until timestamptz NOT NULL
);

-- A call takes a place from its beginning until a window after its end.
CREATE TABLE notifier.robot_call (
    call_id uuid PRIMARY KEY,
    robot bytea NOT NULL,
    taken_at timestamptz NOT NULL,
    until timestamptz NOT NULL
);

CREATE INDEX robot_call_until ON notifier.robot_call (robot, until);

ALTER TABLE notifier.delivery
    -- The robot refused a message in which this notification was merged with others: it goes by itself.
    ADD COLUMN alone boolean NOT NULL DEFAULT false;
