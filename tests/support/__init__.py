"""Builders and tools that tests and benches share."""
