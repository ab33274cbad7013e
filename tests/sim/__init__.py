"""A scope of registrars, pool elements and pool users in virtual time, everything from one seed."""
