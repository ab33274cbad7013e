"""Sessions between pool users and pool elements, for applications."""
