-- name: acr_namespaces
-- Namespaces that were written down, by name; all of an instance, or those of the names in $2.
SELECT name, auto_create_repo, default_repo_type, default_repo_configuration
FROM gateway.acr_namespace
WHERE instance_id = $1 AND ($2::text[] IS NULL OR name = ANY($2::text[]))
ORDER BY name

-- name: insert_acr_namespace
-- Writes a namespace down; returns nothing when it was before.
INSERT INTO gateway.acr_namespace (instance_id, name, auto_create_repo, default_repo_type, default_repo_configuration)
VALUES ($1, $2, $3, $4, $5::jsonb)
ON CONFLICT DO NOTHING
RETURNING name

-- name: put_acr_namespace
-- Writes a namespace down, or anew.
INSERT INTO gateway.acr_namespace (instance_id, name, auto_create_repo, default_repo_type, default_repo_configuration)
VALUES ($1, $2, $3, $4, $5::jsonb)
ON CONFLICT (instance_id, name) DO UPDATE
SET auto_create_repo = excluded.auto_create_repo,
    default_repo_type = excluded.default_repo_type,
    default_repo_configuration = excluded.default_repo_configuration

-- name: delete_acr_namespace
-- Forgets what was written down of a namespace.
DELETE FROM gateway.acr_namespace WHERE instance_id = $1 AND name = $2

-- name: acr_repositories
-- What was written down of repositories.
SELECT repo_id, repo_type, summary, detail, modified_at
FROM gateway.acr_repository
WHERE repo_id = ANY($1::text[])

-- name: put_acr_repository
-- Writes down what is said of a repository, or anew.
INSERT INTO gateway.acr_repository (repo_id, repo_type, summary, detail, modified_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (repo_id) DO UPDATE
SET repo_type = excluded.repo_type,
    summary = excluded.summary,
    detail = excluded.detail,
    modified_at = excluded.modified_at

-- name: insert_acr_chain
-- Saves a chain unless the instance has one of its name; returns its id then.
INSERT INTO gateway.acr_chain (
    chain_id, instance_id, name, description, namespace, repository, scope_exclude, config_id, config, created_at,
    modified_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $10)
ON CONFLICT DO NOTHING
RETURNING chain_id

-- name: acr_chains
-- The chains of an instance, oldest first.
SELECT chain_id, instance_id, name, description, namespace, repository, scope_exclude, config_id, config, version,
    created_at, modified_at
FROM gateway.acr_chain
WHERE instance_id = $1
ORDER BY created_at, chain_id

-- name: update_acr_chain
-- Writes a chain anew; returns its id, nothing without such a chain.
UPDATE gateway.acr_chain
SET name = $3, description = $4, scope_exclude = $5, config = $6::jsonb, modified_at = $7, version = version + 1
WHERE instance_id = $1 AND chain_id = $2
RETURNING chain_id

-- name: delete_acr_chain
-- Deletes a chain; returns its id, nothing without such a chain.
DELETE FROM gateway.acr_chain WHERE instance_id = $1 AND chain_id = $2 RETURNING chain_id
