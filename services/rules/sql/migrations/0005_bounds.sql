-- Pages of the catalogue that a walk has turned, from all its beginnings: a catalogue without end is walked so far only.
ALTER TABLE rules.sync ADD COLUMN pages int NOT NULL DEFAULT 0;

-- Since when a scheduled rule has none of the repositories left that it names one by one; NULL: it has, or it never had.
ALTER TABLE rules.scan_rule ADD COLUMN orphaned_at timestamptz;
CREATE INDEX scan_rule_orphaned ON rules.scan_rule (orphaned_at) WHERE orphaned_at IS NOT NULL;
