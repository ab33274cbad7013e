"""The way between records and octets, and messages around parts that are already encoded.

Nothing outside of this module and ``rserpool._fast`` reads or writes an octet of a message.
"""

from typing import Literal, TypeVar

from rserpool._fast.codec import decode as _decode
from rserpool._fast.codec import layouts
from rserpool._fast.codec.decode import message_flags, message_length, message_type, pool_element_identifier
from rserpool._fast.codec.encode import (
    encode_address,
    encode_handle_table_response,
    encode_handle_update,
    encode_pool_handle,
)
from rserpool.messages.asap import ASAP_MESSAGES
from rserpool.messages.enrp import ENRP_MESSAGES, HandleTableResponse
from rserpool.messages.parameters import PARAMETERS, Policy, PoolElement, ServerInformation, Transport
from rserpool.messages.record import Message

__all__ = [
    "decode",
    "decode_handle_table_head",
    "decode_parameter",
    "encode_address",
    "encode_handle_table_response",
    "encode_handle_update",
    "encode_pool_handle",
    "message_flags",
    "message_length",
    "message_type",
    "pool_element_identifier",
]

_Parameter = TypeVar("_Parameter", bound=Transport | Policy | PoolElement | ServerInformation)

layouts.install((*PARAMETERS, *ASAP_MESSAGES, *ENRP_MESSAGES))


def decode(data: bytes, protocol: Literal["asap", "enrp"]) -> Message:
    """Decode one message. ``data`` is the whole message and nothing else; its length may or may not count the final
    padding (RFC 5354 4).

    Raises RemoteProtocolError, and nothing else whatever the octets: it carries the cause to answer with, and says
    whether to answer at all.
    """
    return _decode.decode(data, protocol)


def decode_parameter(octets: bytes, record: type[_Parameter]) -> _Parameter:
    """Decode one parameter, which must be of the class ``record``. Its final padding may be missing.

    Raises RemoteProtocolError, and nothing else whatever the octets.
    """
    return _decode.decode_parameter(octets, record)


def decode_handle_table_head(data: bytes) -> HandleTableResponse:
    """Decode an ENRP_HANDLE_TABLE_RESPONSE without its pool entries: ``pool_entries`` is empty.

    Raises RemoteProtocolError, and nothing else whatever the octets.
    """
    return _decode.decode_handle_table_head(data)
