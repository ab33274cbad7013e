"""The state machines of sessions between pool users and pool elements (RFC 5352 3.8, 3.9)."""
