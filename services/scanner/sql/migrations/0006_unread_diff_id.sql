-- Nobody reads it: an analysis holds its own. The release before this one still writes it; the next may drop it.
ALTER TABLE scanner.layer_analysis ALTER COLUMN diff_id DROP NOT NULL;
