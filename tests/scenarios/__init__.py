"""Black-box scenarios against a registrar: the same steps over the memory transport and over kernel SCTP."""
