-- A target's URL is often its password: sealed from now on. What is still plain is sealed when the notifier starts.
ALTER TABLE notifier.target
    -- AES-GCM, bound to the target; null until the URL beside it is sealed.
    ADD COLUMN sealed_url bytea,
    -- Empty once sealed.
    ALTER COLUMN url SET DEFAULT '';
