-- Who reads a layer now: the holder of a scan's lease. It counts for as long as the lease does, and goes with the work.
CREATE TABLE scanner.layer_turn (
    layer_digest text NOT NULL,
    analysers text NOT NULL,
    scan_id uuid NOT NULL REFERENCES scanner.work ON DELETE CASCADE,
    fence bigint NOT NULL,
    PRIMARY KEY (layer_digest, analysers)
) WITH (fillfactor = 70);
CREATE INDEX layer_turn_scan ON scanner.layer_turn (scan_id);
