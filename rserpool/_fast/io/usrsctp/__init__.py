"""SCTP over UDP by libusrsctp in this process (RFC 6951)."""
