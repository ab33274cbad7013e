"""Whole programs on this machine."""
