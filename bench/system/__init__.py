"""Whole registrars against each other in virtual time: how long it takes, and what it costs."""
