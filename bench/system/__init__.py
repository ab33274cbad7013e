"""Whole registrars under load, compared with yardsticks and with other programs."""
