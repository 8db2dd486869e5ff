"""Registry: reads images and tags of OCI registries. A library: whoever must ask a registry uses it."""
