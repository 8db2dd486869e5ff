"""What registries tell us: one module for each sender's language."""
