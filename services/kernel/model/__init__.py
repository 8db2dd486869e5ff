"""The language of the project: frozen values without any input or output."""
