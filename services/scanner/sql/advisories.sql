-- name: current_advisories
-- The file of a format that counts.
SELECT f.digest, f.version, f.built_at, f.bytes
FROM scanner.advisory_current AS c
JOIN scanner.advisory_file AS f USING (digest)
WHERE c.format = $1

-- name: insert_advisory_file
-- A file is about to be stored; it does not count yet.
INSERT INTO scanner.advisory_file (digest, format, version, built_at, bytes)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (digest) DO UPDATE SET created_at = now()

-- name: insert_advisory_piece
-- A piece of a file; who stores the same file at the same time stores the same pieces.
INSERT INTO scanner.advisory_piece (digest, number, content) VALUES ($1, $2, $3)
ON CONFLICT (digest, number) DO NOTHING

-- name: advisory_piece
-- A piece of a file.
SELECT content FROM scanner.advisory_piece WHERE digest = $1 AND number = $2

-- name: point_advisories
-- Makes a whole file count, unless a younger one does already.
INSERT INTO scanner.advisory_current AS c (format, digest) VALUES ($1, $2)
ON CONFLICT (format) DO UPDATE SET digest = excluded.digest
WHERE (SELECT built_at FROM scanner.advisory_file WHERE digest = c.digest)
    < (SELECT built_at FROM scanner.advisory_file WHERE digest = excluded.digest)

-- name: prune_advisories
-- Forgets files that do not count, except those of the last hour: somebody may be fetching or storing them.
DELETE FROM scanner.advisory_file
WHERE format = $1
    AND created_at < now() - interval '1 hour'
    AND digest NOT IN (SELECT digest FROM scanner.advisory_current)
