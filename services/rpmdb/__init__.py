"""The forms in which rpm keeps its database, each a way from a file's bytes to the headers of packages."""
