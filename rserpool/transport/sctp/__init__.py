"""SCTP: the kernel's, or libusrsctp over UDP."""
