"""libusrsctp in this process, over UDP (RFC 6951)."""
