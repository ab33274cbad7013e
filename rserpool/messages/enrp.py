"""The records of ENRP messages (RFC 5353 2)."""

from dataclasses import dataclass
from typing import ClassVar

from rserpool._fast.codec.message_types import EnrpMessageType
from rserpool.messages.parameters import ErrorCause, PoolElement, PoolEntry, ServerInformation
from rserpool.messages.record import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrpMessage(Message):
    """Any ENRP message. ``receiver_identifier`` 0 stands for all registrars, and is allowed in a message to a
    single one (RFC 5353 2)."""

    sender_identifier: int
    receiver_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence(EnrpMessage):
    """ENRP_PRESENCE (RFC 5353 2.1)."""

    TYPE: ClassVar[int] = EnrpMessageType.PRESENCE

    reply_required: bool = False
    pe_checksum: int | None = None
    server_information: ServerInformation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleTableRequest(EnrpMessage):
    """ENRP_HANDLE_TABLE_REQUEST (RFC 5353 2.2). With ``own_only`` the sender wants only the pool elements
    whose home registrar is the receiver."""

    TYPE: ClassVar[int] = EnrpMessageType.HANDLE_TABLE_REQUEST

    own_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleTableResponse(EnrpMessage):
    """ENRP_HANDLE_TABLE_RESPONSE (RFC 5353 2.3). With ``more`` the table continues in the response to another
    request."""

    TYPE: ClassVar[int] = EnrpMessageType.HANDLE_TABLE_RESPONSE

    reject: bool = False
    more: bool = False
    pool_entries: tuple[PoolEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleUpdate(EnrpMessage):
    """ENRP_HANDLE_UPDATE (RFC 5353 2.4). ``update_action`` is 0 for ADD_PE, 1 for DEL_PE. ``takeover_suggested`` is
    rsplib's addition."""

    TYPE: ClassVar[int] = EnrpMessageType.HANDLE_UPDATE

    update_action: int
    takeover_suggested: bool = False
    pool_handle: bytes
    pool_element: PoolElement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest(EnrpMessage):
    """ENRP_LIST_REQUEST (RFC 5353 2.5)."""

    TYPE: ClassVar[int] = EnrpMessageType.LIST_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResponse(EnrpMessage):
    """ENRP_LIST_RESPONSE (RFC 5353 2.6)."""

    TYPE: ClassVar[int] = EnrpMessageType.LIST_RESPONSE

    reject: bool = False
    servers: tuple[ServerInformation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InitTakeover(EnrpMessage):
    """ENRP_INIT_TAKEOVER (RFC 5353 2.7)."""

    TYPE: ClassVar[int] = EnrpMessageType.INIT_TAKEOVER

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitTakeoverAck(EnrpMessage):
    """ENRP_INIT_TAKEOVER_ACK (RFC 5353 2.8)."""

    TYPE: ClassVar[int] = EnrpMessageType.INIT_TAKEOVER_ACK

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverServer(EnrpMessage):
    """ENRP_TAKEOVER_SERVER (RFC 5353 2.9)."""

    TYPE: ClassVar[int] = EnrpMessageType.TAKEOVER_SERVER

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrpError(EnrpMessage):
    """ENRP_ERROR (RFC 5353 2.10): at least one cause. A receiver never answers it."""

    TYPE: ClassVar[int] = EnrpMessageType.ERROR

    operation_error: tuple[ErrorCause, ...]


ENRP_MESSAGES: tuple[type[EnrpMessage], ...] = (
    Presence,
    HandleTableRequest,
    HandleTableResponse,
    HandleUpdate,
    ListRequest,
    ListResponse,
    InitTakeover,
    InitTakeoverAck,
    TakeoverServer,
    EnrpError,
)
"""Every ENRP message, in the order of the types."""
