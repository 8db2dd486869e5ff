-- Whoever asks for a scan may lend credentials for it (decision 0038): sealed, for that task alone, until it has ended.
ALTER TABLE scanner.task ADD COLUMN loan bytea;  -- NULL: the image is pulled as its instance says; so is it once it ended
-- The task whose loan the attempt under way pulls with; NULL: the instance's own access.
ALTER TABLE scanner.scan ADD COLUMN lender uuid;
