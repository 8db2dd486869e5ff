"""Catalogers read packages out of single files of a layer: one file of ours for each format of theirs."""
