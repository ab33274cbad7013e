"""TCP for pool users."""
