"""One scan, in this order: resolve, fetch, catalog, coalesce, match, record. One file for each step."""
