"""A laboratory for the demo and the tests: images made in memory, and a registry that can misbehave on purpose."""
