"""The gate: whether an image may pass, by a policy of the caller's. Pure: it reads reports, and asks nobody."""
