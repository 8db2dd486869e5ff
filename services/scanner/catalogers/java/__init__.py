"""Java: archives, and what locks pin."""
