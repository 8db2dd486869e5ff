"""Ways of telling somebody: one module for each kind of target."""
