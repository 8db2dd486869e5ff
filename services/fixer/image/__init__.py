"""The image that is fixed, as a tree of files, and the one layer that comes on top of it."""
