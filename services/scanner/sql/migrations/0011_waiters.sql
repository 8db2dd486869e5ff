-- Who waits for an image is told by its digest when a task on it begins or changes, or a platform of it does. By
-- triggers, so that no statement that comes to be later can forget to. Only a hint: whoever waits also looks by itself.
CREATE FUNCTION scanner.tell_waiters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('drydock_scanner_images', each.digest) FROM (SELECT DISTINCT digest FROM changed) AS each;
    RETURN NULL;
END $$;
CREATE TRIGGER task_begun AFTER INSERT ON scanner.task
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scanner.tell_waiters();
CREATE TRIGGER task_changed AFTER UPDATE ON scanner.task
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scanner.tell_waiters();
CREATE TRIGGER scan_changed AFTER UPDATE ON scanner.scan
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scanner.tell_waiters();
