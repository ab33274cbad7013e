"""Frames ASAP messages in a TCP stream by their own length (RFC 5352 2.1).

A message ends at its Message Length rounded up to 4. So it is framed alike whether or not its sender counts the final
padding (RFC 5354 4).
"""

from rserpool.messages import message_length

HEADER = 4
"""Octets of a message's type, flags and length."""


class FramingError(Exception):
    """The stream has a message length that is impossible or too large."""


def take_message(buffer: bytearray, max_octets: int) -> bytes | None:
    """Remove the first message of a buffer and return it; None if it is incomplete. Raises FramingError."""
    if len(buffer) < HEADER:
        return None
    length = message_length(bytes(buffer[:HEADER]))
    octets = (length + 3) & ~3
    if length < HEADER or octets > max_octets:
        raise FramingError(length)
    if len(buffer) < octets:
        return None
    message = bytes(buffer[:octets])
    del buffer[:octets]
    return message
