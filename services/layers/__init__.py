"""Layers: reads the files that images are made of. A library: unpacks, walks and names, and judges nothing."""
