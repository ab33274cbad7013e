"""Sockets: kernel SCTP, TCP and libusrsctp. The only compiled modules that do input and output."""
