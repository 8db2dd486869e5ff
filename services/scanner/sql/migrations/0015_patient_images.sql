-- Whose turn it is in the stream of findings: what bulk scans and newer advisories changed waits for what somebody pushed.
-- A release before this one writes and reads nothing of it: its marks cannot wait.
ALTER TABLE scanner.stream_mark ADD COLUMN patient boolean NOT NULL DEFAULT false;
ALTER TABLE scanner.stream_image ADD COLUMN patient boolean NOT NULL DEFAULT false;
CREATE INDEX stream_mark_turn ON scanner.stream_mark (patient, mark_id);
DROP INDEX scanner.stream_image_due;
CREATE INDEX stream_image_due ON scanner.stream_image (patient, due_at) WHERE heard > told;

-- Events of 3 kB each are read once and deleted: to compress them was a third of what writing took, or more.
ALTER TABLE scanner.finding_outbox SET (toast_tuple_target = 8160);
