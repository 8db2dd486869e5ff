-- name: analyses
-- Stored analyses of layers by the present analysers, which are needed still: that is noted once a day.
WITH noted AS (
    UPDATE scanner.layer_analysis SET used_at = now()
    WHERE layer_digest = ANY($1::text[]) AND analysers = $2 AND used_at < now() - interval '1 day'
)
SELECT layer_digest, analysis FROM scanner.layer_analysis
WHERE layer_digest = ANY($1::text[]) AND analysers = $2

-- name: put_analysis
-- Stores an analysis; two that did the same work both got the same result.
INSERT INTO scanner.layer_analysis (layer_digest, analysers, analysis) VALUES ($1, $2, $3)
ON CONFLICT (layer_digest, analysers) DO NOTHING

-- name: take_turns
-- Takes the layers that nobody reads whose lease still holds. In one order, so that two that ask never block each other.
INSERT INTO scanner.layer_turn AS t (layer_digest, analysers, scan_id, fence)
SELECT layer, $2, $3, $4 FROM unnest($1::text[]) AS layer ORDER BY layer
ON CONFLICT (layer_digest, analysers) DO UPDATE SET scan_id = excluded.scan_id, fence = excluded.fence
WHERE NOT EXISTS (
    SELECT FROM scanner.work AS w
    WHERE w.scan_id = t.scan_id AND w.fence = t.fence AND w.leased_until > now() AND w.scan_id <> excluded.scan_id
)
RETURNING layer_digest
