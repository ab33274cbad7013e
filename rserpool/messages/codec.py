"""Decoding and encoding of messages and single parameters, and messages around parts that are already encoded.

No other Python module reads or writes the octets of a message.
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
    """Decode one message from all of ``data``. Message Length may or may not count the final padding (RFC 5354 4).

    Raises RemoteProtocolError for any malformed octets, and no other exception. The exception carries the cause to
    report, and says if the receiver may report it at all.
    """
    return _decode.decode(data, protocol)


def decode_parameter(octets: bytes, record: type[_Parameter]) -> _Parameter:
    """Decode one parameter of the class ``record`` from all of ``octets``. Its final padding may be missing.

    Raises RemoteProtocolError for a parameter of another class and for any malformed octets.
    """
    return _decode.decode_parameter(octets, record)


def decode_handle_table_head(data: bytes) -> HandleTableResponse:
    """Decode an ENRP_HANDLE_TABLE_RESPONSE without its pool entries: ``pool_entries`` is empty.

    Raises RemoteProtocolError for another message and for a malformed head.
    """
    return _decode.decode_handle_table_head(data)
