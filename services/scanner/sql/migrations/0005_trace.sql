-- The trace of what a task follows from, for the events that tell of it.
ALTER TABLE scanner.task ADD COLUMN traceparent text NOT NULL DEFAULT '';
