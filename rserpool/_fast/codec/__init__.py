"""Octets to records and back: the checked cursor, TLVs, parameters, and the canonical form of a pool element."""
