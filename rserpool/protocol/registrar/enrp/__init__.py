"""ENRP between registrars (RFC 5353)."""
