-- name: mark_images
-- There is something to tell of these images; whoever tells wakes at the end of the transaction.
WITH marked AS (
    INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone)
    SELECT DISTINCT instance_id, repo_id, namespace, repository, digest, false
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS w (instance_id, repo_id, namespace, repository, digest)
)
SELECT pg_notify('drydock_scanner_stream', '')

-- name: mark_gone_images
-- Of images whose tasks just went the last ones are gone with their results.
WITH marked AS (
    INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone)
    SELECT $1, $2, $3, $4, w.digest, true
    FROM (SELECT DISTINCT digest FROM unnest($5::text[]) AS u (digest)) AS w
    WHERE NOT EXISTS (SELECT FROM scanner.task AS k WHERE k.repo_id = $2 AND k.digest = w.digest)
)
SELECT pg_notify('drydock_scanner_stream', '')

-- name: gather_marks
-- Makes marks into images that are due, in one order for all who do so. That an image went stays until it is told.
WITH taken AS (
    DELETE FROM scanner.stream_mark
    WHERE mark_id IN (SELECT mark_id FROM scanner.stream_mark ORDER BY mark_id LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING instance_id, repo_id, namespace, repository, digest, gone
)
INSERT INTO scanner.stream_image AS i (repo_id, digest, instance_id, namespace, repository, gone)
SELECT repo_id, digest, min(instance_id), min(namespace), min(repository), bool_or(gone)
FROM taken
GROUP BY repo_id, digest
ORDER BY repo_id, digest
ON CONFLICT (repo_id, digest) DO UPDATE
SET heard = i.heard + 1, gone = i.gone OR excluded.gone,
    due_at = CASE WHEN i.heard = i.told THEN now() ELSE i.due_at END

-- name: claim_images
-- Images that are due, longest due first; each is due again by itself, after a pause that grows with its attempts.
WITH due AS (
    SELECT repo_id, digest FROM scanner.stream_image
    WHERE heard > told AND due_at <= now()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE scanner.stream_image AS i
SET fence = i.fence + 1, attempts = i.attempts + 1, due_at = now() + make_interval(secs => $2 * 2 ^ least(i.attempts, 6))
FROM due
WHERE i.repo_id = due.repo_id AND i.digest = due.digest
RETURNING i.repo_id, i.digest, i.instance_id, i.namespace, i.repository, i.gone, i.heard, i.fence

-- name: hold_image
-- Keeps an image for as long again, unless somebody else has claimed it.
UPDATE scanner.stream_image SET due_at = now() + make_interval(secs => $4)
WHERE repo_id = $1 AND digest = $2 AND fence = $3
RETURNING fence

-- name: settle_image
-- All that was heard of an image is told; what was heard since then is due.
UPDATE scanner.stream_image
SET told = $4, attempts = 0, due_at = now(), gone = gone AND heard > $4
WHERE repo_id = $1 AND digest = $2 AND fence = $3

-- name: drop_image
-- An image went, and nothing of it is open any more.
WITH dropped AS (
    DELETE FROM scanner.stream_image WHERE repo_id = $1 AND digest = $2 AND fence = $3 AND heard = $4
)
DELETE FROM scanner.stream_scan WHERE repo_id = $1 AND digest = $2

-- name: latest_results
-- Of each platform of an image, by each engine, the last scan with a report that a complete task has, and since when that
-- says what it says: newer advisories may have been held against it.
SELECT DISTINCT ON (platform, engine) scan_id, platform, engine, ended_at, judged_at, verdict
FROM (
    SELECT s.scan_id, coalesce(p.platform, s.platform) AS platform, s.engine, s.ended_at,
        greatest(s.ended_at, v.judged_at) AS judged_at, coalesce(r.verdict, '') AS verdict
    FROM scanner.task AS k
    LEFT JOIN scanner.scan_part AS p ON p.index_id = k.scan_id
    JOIN scanner.scan AS s ON s.scan_id = coalesce(p.scan_id, k.scan_id)
    JOIN scanner.report AS r ON r.scan_id = s.scan_id
    LEFT JOIN scanner.verdict AS v
        ON v.inventory = r.inventory AND v.verdict = r.verdict AND v.generation > r.generation
    WHERE k.repo_id = $1 AND k.digest = $2 AND k.state = 'COMPLETE' AND s.state = 'COMPLETE'
) AS of_tasks
ORDER BY platform, engine, ended_at DESC, scan_id

-- name: streamed_scans
-- What was last told of an image, of each platform and by each engine.
SELECT platform, engine, scan_id, ended_at, judged_at, verdict, advisories_at
FROM scanner.stream_scan
WHERE repo_id = $1 AND digest = $2

-- name: put_streamed_scan
-- A scan is told to its end.
INSERT INTO scanner.stream_scan (repo_id, digest, platform, engine, scan_id, ended_at, judged_at, verdict, advisories_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (repo_id, digest, platform, engine) DO UPDATE
SET scan_id = excluded.scan_id, ended_at = excluded.ended_at, judged_at = excluded.judged_at,
    verdict = excluded.verdict, advisories_at = excluded.advisories_at

-- name: open_fingerprints
-- What is open of a platform by an engine, as short as it can be.
SELECT uid, fingerprint, first_seen_at FROM scanner.stream_finding
WHERE repo_id = $1 AND digest = $2 AND platform = $3 AND engine = $4

-- name: some_open_findings
-- Some of an image's open findings.
SELECT uid, platform, engine, content, first_seen_at, seen_at FROM scanner.stream_finding
WHERE repo_id = $1 AND digest = $2 AND ($3::uuid[] IS NULL OR uid = ANY($3))
ORDER BY uid
LIMIT $4

-- name: put_open_findings
-- Findings are open, as they stand now.
INSERT INTO scanner.stream_finding AS f
    (repo_id, digest, uid, platform, engine, fingerprint, content, first_seen_at, seen_at)
SELECT $1, $2, w.uid, $3, $4, w.fingerprint, w.content, $8, $8
FROM unnest($5::uuid[], $6::bytea[], $7::bytea[]) AS w (uid, fingerprint, content)
ON CONFLICT (repo_id, digest, uid) DO UPDATE
SET fingerprint = excluded.fingerprint, content = excluded.content, seen_at = excluded.seen_at

-- name: close_findings
-- Findings are open no more.
DELETE FROM scanner.stream_finding WHERE repo_id = $1 AND digest = $2 AND uid = ANY($3::uuid[])

-- name: open_findings
-- A page of all that is open, of one instance or of every one, after a place.
SELECT i.instance_id, i.namespace, i.repository, f.repo_id, f.digest, f.uid, f.platform, f.engine, f.content,
    f.first_seen_at, f.seen_at
FROM scanner.stream_finding AS f
JOIN scanner.stream_image AS i USING (repo_id, digest)
WHERE ($1 = '' OR i.instance_id = $1) AND (f.repo_id, f.digest, f.uid) > ($2, $3, $4::uuid)
ORDER BY f.repo_id, f.digest, f.uid
LIMIT $5
