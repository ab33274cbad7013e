"""Numbers that several layers share: units, port numbers, payload protocol identifiers."""

from typing import Final

MICROSECONDS: Final = 1_000_000
"""Microseconds per second. The protocol's clock counts in microseconds, settings in seconds."""
ASAP_PORT: Final = 3863
"""The registered port of ASAP (RFC 5352 8.2)."""
ENRP_PORT: Final = 9901
"""The registered port of ENRP (RFC 5353 5.3)."""
CSP_PORT: Final = 2960
"""The port of rsplib's Component Status Protocol."""
ASAP_PPID: Final = 11
"""The SCTP payload protocol identifier of ASAP (RFC 5352 8.3)."""
ENRP_PPID: Final = 12
"""The SCTP payload protocol identifier of ENRP (RFC 5353 5.4)."""
MAX_MESSAGE_LENGTH: Final = 0xFFFF
"""The largest Message Length of an ASAP or ENRP message: octets without final padding (RFC 5354 4)."""
MAX_MESSAGE_OCTETS: Final = MAX_MESSAGE_LENGTH + 3
"""The largest ASAP or ENRP message with its final padding, in octets. An association on which a peer sends more is
aborted, so that the peer cannot make this host collect octets without end."""
MAX_POOL_HANDLE: Final = 255
"""The longest pool handle that programs accept, in octets. The wire allows more, but answers must repeat it."""
