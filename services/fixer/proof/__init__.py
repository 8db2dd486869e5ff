"""The proof: what the scan of the fixed image says, and what is attached to the image of it."""
