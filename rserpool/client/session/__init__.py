"""Sessions between pool users and pool elements, as applications use them (RFC 5352 3.8, 6.5)."""
