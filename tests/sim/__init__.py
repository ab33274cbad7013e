"""Simulates a scope of registrars, pool elements and pool users in virtual time. One seed determines everything."""
