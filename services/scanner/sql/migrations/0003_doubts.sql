-- A tag whose pushes came in another order than their registry's clock has it is in doubt until the registry was asked.
-- From here on `seen_at` is the latest moment for which somebody vouched for the tag's digest: the registry for that of
-- a push, we for that of a question; `-infinity` when only a task is known. It is never a reason to move a tag.
ALTER TABLE scanner.tag
    ADD COLUMN doubted_at timestamptz,  -- NULL: no doubt
    ADD COLUMN ask_at timestamptz,  -- when the registry is asked, again
    ADD COLUMN questions int NOT NULL DEFAULT 0;
CREATE INDEX tag_doubted ON scanner.tag (questions, ask_at) WHERE doubted_at IS NOT NULL;

-- Newest task of a digest under one tag.
CREATE INDEX task_tag ON scanner.task (repo_id, tag, digest, created_at DESC, task_id DESC);
