"""Doing: tasks leased, fixed, ended."""
