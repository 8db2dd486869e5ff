-- Pages of the catalogue that a walk has turned, from all its beginnings: a catalogue without end is walked so far only.
ALTER TABLE rules.sync ADD COLUMN pages int NOT NULL DEFAULT 0;
