-- The compiled advisory files, for every node to fetch: in pieces, so that no statement is large.
CREATE TABLE scanner.advisory_file (
    digest text PRIMARY KEY,  -- `sha256:…` of the file
    format int NOT NULL,
    version text NOT NULL,
    built_at timestamptz NOT NULL,
    bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE scanner.advisory_piece (
    digest text NOT NULL REFERENCES scanner.advisory_file ON DELETE CASCADE,
    number int NOT NULL,
    content bytea NOT NULL,  -- compressed with zstd
    PRIMARY KEY (digest, number)
);
ALTER TABLE scanner.advisory_piece ALTER COLUMN content SET STORAGE EXTERNAL;

-- Which file counts, for each format: an older release goes on with the format it knows.
CREATE TABLE scanner.advisory_current (
    format int PRIMARY KEY,
    digest text NOT NULL REFERENCES scanner.advisory_file
);
