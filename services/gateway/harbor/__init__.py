"""Harbor's scanner: the adapter of its Pluggable Scanner API 1.2, which any Harbor can ask (`docs/harbor.md`)."""
