-- What came first, a task or the question to a registry, is told by numbers drawn under the scan's lock: no clock.
CREATE SEQUENCE scanner.turn AS bigint;

ALTER TABLE scanner.task ADD COLUMN joined bigint NOT NULL DEFAULT 0;
ALTER TABLE scanner.task ALTER COLUMN joined SET DEFAULT nextval('scanner.turn');  -- apart: old rows stay as they are
ALTER TABLE scanner.scan ADD COLUMN begun bigint NOT NULL DEFAULT 0;  -- when the attempt under way began
