"""Counts instructions per call with callgrind, so that other load and clock speeds do not affect the figures."""
