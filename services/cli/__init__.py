"""The command line `drydock`: what a person or a pipeline types."""
