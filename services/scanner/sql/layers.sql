-- name: analyses
-- Stored analyses of layers by the present analysers.
SELECT layer_digest, analysis FROM scanner.layer_analysis
WHERE layer_digest = ANY($1::text[]) AND analysers = $2

-- name: put_analysis
-- Stores an analysis; two that did the same work both got the same result.
INSERT INTO scanner.layer_analysis (layer_digest, analysers, analysis) VALUES ($1, $2, $3)
ON CONFLICT (layer_digest, analysers) DO NOTHING
