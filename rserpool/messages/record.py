"""The base classes of all records."""

from dataclasses import dataclass, field
from typing import ClassVar

from rserpool._fast.codec.encode import encode


class Record:
    """A message, a parameter, an error cause or a pool entry: a value that can be encoded."""

    __slots__ = ()

    def encode(self) -> bytes:
        """The octets with their final padding.

        Raises LocalProtocolError for values that the wire cannot carry.
        """
        return encode(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """Any message.

    ``unrecognized`` holds the complete parameters of action class 11 that decoding skipped. The receiver reports them
    after its normal answer (RFC 5354 3). There are at most 16, and together they fit into one error message. The field
    is neither compared nor encoded.
    """

    TYPE: ClassVar[int]
    """The message type: the first octet."""

    unrecognized: tuple[bytes, ...] = field(default=(), compare=False)
