"""Reliable Server Pooling (RFC 5351-5356): registrar, pool elements and pool users."""

from rserpool._version import __version__

__all__ = ["__version__"]
