"""Checks and tools of the project; see the Makefile."""
