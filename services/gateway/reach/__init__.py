"""What keys may reach: the services' interfaces as a limited caller sees them, whatever door they came in by."""
