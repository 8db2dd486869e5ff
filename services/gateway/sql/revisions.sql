-- name: next_revisions
-- Draws so many revisions, rising.
SELECT nextval('gateway.image_event_revision') FROM generate_series(1, $1::int)
