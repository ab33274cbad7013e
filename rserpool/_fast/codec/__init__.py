"""Decoding and encoding: the checked cursor, TLVs, parameters, messages, and the scan of an encoded pool element."""
