"""The registrar's side of ASAP (RFC 5352)."""
