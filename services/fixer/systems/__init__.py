"""Package systems: what each does to an image, without running anything of it."""
