"""Sync: an instance kept in step with its registry. we say what the registry lists."""
