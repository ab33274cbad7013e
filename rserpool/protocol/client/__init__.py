"""The state machines of pool elements and pool users (RFC 5352)."""
