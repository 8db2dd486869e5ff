-- The PostgreSQL bus. A reader never passes a message whose transaction, or an older one, may still be open:
-- messages are read in the order (xid, seq), and only below the oldest open transaction.
CREATE SCHEMA bus;

CREATE SEQUENCE bus.message_seq;

CREATE TABLE bus.message (
    topic text NOT NULL,
    partition int NOT NULL,
    xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq bigint NOT NULL DEFAULT nextval('bus.message_seq'),
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE TABLE bus.message_default PARTITION OF bus.message DEFAULT;
CREATE INDEX message_order ON bus.message (topic, partition, xid, seq);

-- Up to where each group has read.
CREATE TABLE bus.position (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    xid bigint NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
);

-- Who reads. A member lives as long as its session: no clock decides.
CREATE TABLE bus.member (
    member_id text PRIMARY KEY,
    consumer_group text NOT NULL,
    topic text NOT NULL,
    backend_pid int NOT NULL,
    backend_start timestamptz NOT NULL
);
CREATE INDEX member_group ON bus.member (consumer_group, topic);
