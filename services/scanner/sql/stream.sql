-- name: mark_images
-- There is something to tell of these images, which may wait for that of others or may not; whoever tells wakes at the end
-- of the transaction.
WITH marked AS (
    INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone, patient)
    SELECT instance_id, repo_id, namespace, repository, digest, false, bool_and(patient)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[])
        AS w (instance_id, repo_id, namespace, repository, digest, patient)
    GROUP BY instance_id, repo_id, namespace, repository, digest
)
SELECT pg_notify('drydock_scanner_stream', '')

-- name: mark_gone_images
-- Of images whose tasks just went the last ones are gone with their results; they come by the thousand, and can wait.
WITH marked AS (
    INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone, patient)
    SELECT $1, $2, $3, $4, w.digest, true, true
    FROM (SELECT DISTINCT digest FROM unnest($5::text[]) AS u (digest)) AS w
    WHERE NOT EXISTS (SELECT FROM scanner.task AS k WHERE k.repo_id = $2 AND k.digest = w.digest)
)
SELECT pg_notify('drydock_scanner_stream', '')

-- name: gather_marks
-- Makes marks into images that are due, in one order for all who do so. That an image went stays until it is told.
WITH taken AS (
    DELETE FROM scanner.stream_mark
    WHERE mark_id IN (
        SELECT mark_id FROM scanner.stream_mark ORDER BY patient, mark_id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING instance_id, repo_id, namespace, repository, digest, gone, patient
)
INSERT INTO scanner.stream_image AS i (repo_id, digest, instance_id, namespace, repository, gone, patient)
SELECT repo_id, digest, min(instance_id), min(namespace), min(repository), bool_or(gone), bool_and(patient)
FROM taken
GROUP BY repo_id, digest
ORDER BY repo_id, digest
ON CONFLICT (repo_id, digest) DO UPDATE
SET heard = i.heard + 1, gone = i.gone OR excluded.gone,
    due_at = CASE WHEN i.heard = i.told THEN now() ELSE i.due_at END,
    patient = excluded.patient AND (i.patient OR i.heard = i.told)

-- name: claim_images
-- Images that are due, those that cannot wait first, longest due first; each is due again by itself, after a pause that
-- grows with its attempts.
WITH due AS (
    SELECT repo_id, digest, patient, due_at FROM scanner.stream_image
    WHERE heard > told AND due_at <= now()
    ORDER BY patient, due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE scanner.stream_image AS i
SET fence = i.fence + 1, attempts = i.attempts + 1, due_at = now() + make_interval(secs => $2 * 2 ^ least(i.attempts, 6))
FROM due
WHERE i.repo_id = due.repo_id AND i.digest = due.digest
RETURNING i.repo_id, i.digest, i.instance_id, i.namespace, i.repository, i.gone, i.heard, i.fence,
    i.attempts > 1 AS again, due.patient, due.due_at

-- name: give_back_images
-- Images that were claimed and not looked at are where they were; locked in one order for all.
WITH held AS (
    SELECT i.repo_id, i.digest, w.due_at
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) AS w (repo_id, digest, fence, due_at)
    JOIN scanner.stream_image AS i ON i.repo_id = w.repo_id AND i.digest = w.digest AND i.fence = w.fence
    ORDER BY i.repo_id, i.digest
    FOR UPDATE OF i
)
UPDATE scanner.stream_image AS i SET due_at = held.due_at, attempts = i.attempts - 1
FROM held
WHERE i.repo_id = held.repo_id AND i.digest = held.digest

-- name: hold_images
-- Keeps those of the images for as long again that nobody else has claimed; locked in one order for all.
WITH held AS (
    SELECT i.repo_id, i.digest
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w (repo_id, digest, fence)
    JOIN scanner.stream_image AS i ON i.repo_id = w.repo_id AND i.digest = w.digest AND i.fence = w.fence
    ORDER BY i.repo_id, i.digest
    FOR UPDATE OF i
)
UPDATE scanner.stream_image AS i SET due_at = now() + make_interval(secs => $4)
FROM held
WHERE i.repo_id = held.repo_id AND i.digest = held.digest
RETURNING i.repo_id, i.digest

-- name: settle_images
-- All that was heard of images is told; what was heard since then is due.
UPDATE scanner.stream_image AS i
SET told = w.heard, attempts = 0, due_at = now(), gone = i.gone AND i.heard > w.heard
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS w (repo_id, digest, fence, heard)
WHERE i.repo_id = w.repo_id AND i.digest = w.digest AND i.fence = w.fence

-- name: drop_image
-- An image went, and nothing of it is open any more.
WITH dropped AS (
    DELETE FROM scanner.stream_image WHERE repo_id = $1 AND digest = $2 AND fence = $3 AND heard = $4
)
DELETE FROM scanner.stream_scan WHERE repo_id = $1 AND digest = $2

-- name: latest_results
-- Of each platform of images, by each engine, the last scan with a report that a complete task has, and since when that
-- says what it says: newer advisories may have been held against it.
SELECT w.image, l.scan_id, l.platform, l.engine, l.ended_at, l.judged_at, l.verdict, l.bytes
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (repo_id, digest, image)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (platform, engine) scan_id, platform, engine, ended_at, judged_at, verdict, bytes
    FROM (
        SELECT s.scan_id, coalesce(p.platform, s.platform) AS platform, s.engine, s.ended_at,
            greatest(s.ended_at, v.judged_at) AS judged_at, coalesce(r.verdict, '') AS verdict,
            octet_length(r.content) + coalesce(octet_length(v.content), 0) AS bytes
        FROM scanner.task AS k
        LEFT JOIN scanner.scan_part AS p ON p.index_id = k.scan_id
        JOIN scanner.scan AS s ON s.scan_id = coalesce(p.scan_id, k.scan_id)
        JOIN scanner.report AS r ON r.scan_id = s.scan_id
        LEFT JOIN scanner.verdict AS v
            ON v.inventory = r.inventory AND v.verdict = r.verdict AND v.generation > r.generation
        WHERE k.repo_id = w.repo_id AND k.digest = w.digest AND k.state = 'COMPLETE' AND s.state = 'COMPLETE'
    ) AS of_tasks
    ORDER BY platform, engine, ended_at DESC, scan_id
) AS l
ORDER BY w.image, l.platform, l.engine

-- name: streamed_scans
-- What was last told of images, of each platform and by each engine.
SELECT w.image, s.platform, s.engine, s.scan_id, s.ended_at, s.judged_at, s.verdict, s.advisories_at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (repo_id, digest, image)
JOIN scanner.stream_scan AS s ON s.repo_id = w.repo_id AND s.digest = w.digest

-- name: put_streamed_scans
-- Scans are told to their end.
INSERT INTO scanner.stream_scan (repo_id, digest, platform, engine, scan_id, ended_at, judged_at, verdict, advisories_at)
SELECT repo_id, digest, platform, engine, scan_id, ended_at, judged_at, verdict, advisories_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::timestamptz[], $8::text[],
    $9::text[]
) AS w (repo_id, digest, platform, engine, scan_id, ended_at, judged_at, verdict, advisories_at)
ON CONFLICT (repo_id, digest, platform, engine) DO UPDATE
SET scan_id = excluded.scan_id, ended_at = excluded.ended_at, judged_at = excluded.judged_at,
    verdict = excluded.verdict, advisories_at = excluded.advisories_at

-- name: known_findings
-- What is open of platforms of images by engines, as short as it can be: for each finding its uid, its fingerprint and when
-- it was first seen, one after the other. Rows take their reader several times as long.
SELECT w.place, k.known
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
    WITH ORDINALITY AS w (repo_id, digest, platform, engine, place)
CROSS JOIN LATERAL (
    SELECT string_agg(uuid_send(f.uid) || f.fingerprint || timestamptz_send(f.first_seen_at), '') AS known
    FROM scanner.stream_finding AS f
    WHERE f.repo_id = w.repo_id AND f.digest = w.digest AND f.platform = w.platform AND f.engine = w.engine
) AS k
WHERE k.known IS NOT NULL

-- name: some_open_findings
-- Some of an image's open findings, in the order of their uids, behind one of them.
SELECT uid, platform, engine, content, first_seen_at, seen_at FROM scanner.stream_finding
WHERE repo_id = $1 AND digest = $2 AND uid > $3 AND ($4::uuid[] IS NULL OR uid = ANY($4))
ORDER BY uid
LIMIT $5

-- name: put_open_findings
-- Findings of images are open, as they stand now.
INSERT INTO scanner.stream_finding AS f
    (repo_id, digest, uid, platform, engine, fingerprint, content, first_seen_at, seen_at)
SELECT repo_id, digest, uid, platform, engine, fingerprint, content, seen_at, seen_at
FROM unnest(
    $1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::timestamptz[]
) AS w (repo_id, digest, uid, platform, engine, fingerprint, content, seen_at)
ON CONFLICT (repo_id, digest, uid) DO UPDATE
SET fingerprint = excluded.fingerprint, content = excluded.content, seen_at = excluded.seen_at

-- name: close_findings
-- Findings of images are open no more.
DELETE FROM scanner.stream_finding AS f
USING unnest($1::text[], $2::text[], $3::uuid[]) AS w (repo_id, digest, uid)
WHERE f.repo_id = w.repo_id AND f.digest = w.digest AND f.uid = w.uid

-- name: open_findings
-- A page of all that is open, of one instance or of every one, after a place.
SELECT i.instance_id, i.namespace, i.repository, f.repo_id, f.digest, f.uid, f.platform, f.engine, f.content,
    f.first_seen_at, f.seen_at
FROM scanner.stream_finding AS f
JOIN scanner.stream_image AS i USING (repo_id, digest)
WHERE ($1 = '' OR i.instance_id = $1) AND (f.repo_id, f.digest, f.uid) > ($2, $3, $4::uuid)
ORDER BY f.repo_id, f.digest, f.uid
LIMIT $5
