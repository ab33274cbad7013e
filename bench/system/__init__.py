"""Whole registrars, under load, beside yardsticks and other programs."""
