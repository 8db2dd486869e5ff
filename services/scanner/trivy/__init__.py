"""The TRIVY engine: the real program of that name, run on images that are fetched here."""
