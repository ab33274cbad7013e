"""A scope of registrars and pool elements in virtual time, everything from one seed."""
