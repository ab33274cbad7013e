"""Settings of registrars, clients and sessions, with units, effects and defaults."""
