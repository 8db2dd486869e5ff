"""Re-evaluation: newer advisories held against what is known of images, without registries (decision 0044)."""
