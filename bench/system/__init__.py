"""Whole registrars under load, in comparison with yardsticks and other programs."""
