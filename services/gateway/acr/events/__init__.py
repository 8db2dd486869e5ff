"""The event centre: rules that have targets told, and what they had told."""
