"""rpm: images of the RHEL family, whose database is SQLite (decision 0048)."""
