"""Tests of complete programs on this machine."""
