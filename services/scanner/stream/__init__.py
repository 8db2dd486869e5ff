"""The stream of findings: what became wrong with images, what changed and what is over, for SIEMs."""
