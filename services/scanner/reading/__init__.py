"""Readers of what images hold, bounded, that catalogers, inspectors and the pipeline share."""
