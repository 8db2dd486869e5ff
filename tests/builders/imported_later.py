"""Nothing: a worker imports it when it waits."""
