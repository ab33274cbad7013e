"""The records of ASAP (RFC 5352 2.2) and ENRP (RFC 5353 2) messages, and the way between them and octets."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rserpool._fast.codec import decode as wire
from rserpool._fast.codec import layouts
from rserpool.messages.parameters import (
    PARAMETERS,
    POLICY_VALUES,
    DCCPTransport,
    ErrorCause,
    OpaqueTransport,
    Policy,
    PolicyType,
    PoolElement,
    PoolEntry,
    Record,
    SCTPTransport,
    ServerInformation,
    TCPTransport,
    Transport,
    UDPLiteTransport,
    UDPTransport,
)

__all__ = [
    "ASAP_MESSAGES",
    "ENRP_MESSAGES",
    "POLICY_VALUES",
    "AsapError",
    "AsapMessage",
    "BusinessCard",
    "Cookie",
    "CookieEcho",
    "DCCPTransport",
    "Deregistration",
    "DeregistrationResponse",
    "EndpointKeepAlive",
    "EndpointKeepAliveAck",
    "EndpointUnreachable",
    "EnrpError",
    "EnrpMessage",
    "ErrorCause",
    "HandleResolution",
    "HandleResolutionResponse",
    "HandleTableRequest",
    "HandleTableResponse",
    "HandleUpdate",
    "InitTakeover",
    "InitTakeoverAck",
    "ListRequest",
    "ListResponse",
    "Message",
    "OpaqueTransport",
    "Policy",
    "PolicyType",
    "PoolElement",
    "PoolEntry",
    "Presence",
    "Record",
    "Registration",
    "RegistrationResponse",
    "SCTPTransport",
    "ServerAnnounce",
    "ServerInformation",
    "TCPTransport",
    "TakeoverServer",
    "Transport",
    "UDPLiteTransport",
    "UDPTransport",
    "decode",
    "decode_transport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """Any message. ``unrecognized`` holds the complete parameters of action class 11 that decoding skipped and that
    are to be reported after the normal answer (RFC 5354 3): at most 16, and together short enough for one error
    message. It is neither compared nor encoded."""

    TYPE: ClassVar[int]

    unrecognized: tuple[bytes, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsapMessage(Message):
    """Any ASAP message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrpMessage(Message):
    """Any ENRP message. ``receiver_identifier`` is 0 for "all" and may be 0 for one (RFC 5353 2)."""

    sender_identifier: int
    receiver_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(AsapMessage):
    """ASAP_REGISTRATION (RFC 5352 2.2.1)."""

    TYPE: ClassVar[int] = 0x01

    pool_handle: bytes
    pool_element: PoolElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregistration(AsapMessage):
    """ASAP_DEREGISTRATION (RFC 5352 2.2.2)."""

    TYPE: ClassVar[int] = 0x02

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationResponse(AsapMessage):
    """ASAP_REGISTRATION_RESPONSE (RFC 5352 2.2.3). An error without ``reject`` is a warning."""

    TYPE: ClassVar[int] = 0x03

    reject: bool = False
    pool_handle: bytes
    pe_identifier: int
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregistrationResponse(AsapMessage):
    """ASAP_DEREGISTRATION_RESPONSE (RFC 5352 2.2.4). An error is a rejection."""

    TYPE: ClassVar[int] = 0x04

    pool_handle: bytes
    pe_identifier: int
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleResolution(AsapMessage):
    """ASAP_HANDLE_RESOLUTION (RFC 5352 2.2.5). ``items`` is rsplib's number of wanted pool elements, 0xffffffff for
    as many as possible; None is the RFC's form."""

    TYPE: ClassVar[int] = 0x05

    subscribe: bool = False
    pool_handle: bytes
    items: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleResolutionResponse(AsapMessage):
    """ASAP_HANDLE_RESOLUTION_RESPONSE (RFC 5352 2.2.6): pool elements, or an error."""

    TYPE: ClassVar[int] = 0x06

    accept_subscription: bool = False
    pool_handle: bytes
    policy: Policy | None = None
    pool_elements: tuple[PoolElement, ...] = ()
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKeepAlive(AsapMessage):
    """ASAP_ENDPOINT_KEEP_ALIVE (RFC 5352 2.2.7). ``pe_identifier`` is rsplib's addition."""

    TYPE: ClassVar[int] = 0x07

    home: bool = False
    server_identifier: int
    pool_handle: bytes
    pe_identifier: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKeepAliveAck(AsapMessage):
    """ASAP_ENDPOINT_KEEP_ALIVE_ACK (RFC 5352 2.2.8)."""

    TYPE: ClassVar[int] = 0x08

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointUnreachable(AsapMessage):
    """ASAP_ENDPOINT_UNREACHABLE (RFC 5352 2.2.9)."""

    TYPE: ClassVar[int] = 0x09

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnnounce(AsapMessage):
    """ASAP_SERVER_ANNOUNCE (RFC 5352 2.2.10), sent by UDP multicast."""

    TYPE: ClassVar[int] = 0x0A

    server_identifier: int
    transports: tuple[SCTPTransport | TCPTransport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie(AsapMessage):
    """ASAP_COOKIE (RFC 5352 2.2.11): at least one octet."""

    TYPE: ClassVar[int] = 0x0B

    cookie: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieEcho(AsapMessage):
    """ASAP_COOKIE_ECHO (RFC 5352 2.2.12): at least one octet."""

    TYPE: ClassVar[int] = 0x0C

    cookie: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCard(AsapMessage):
    """ASAP_BUSINESS_CARD (RFC 5352 2.2.13): at least one pool element. ``policy`` is rsplib's addition."""

    TYPE: ClassVar[int] = 0x0D

    pool_handle: bytes
    policy: Policy | None = None
    pool_elements: tuple[PoolElement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsapError(AsapMessage):
    """ASAP_ERROR (RFC 5352 2.2.14): at least one cause. It is never answered."""

    TYPE: ClassVar[int] = 0x0E

    operation_error: tuple[ErrorCause, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence(EnrpMessage):
    """ENRP_PRESENCE (RFC 5353 2.1)."""

    TYPE: ClassVar[int] = 0x01

    reply_required: bool = False
    pe_checksum: int | None = None
    server_information: ServerInformation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleTableRequest(EnrpMessage):
    """ENRP_HANDLE_TABLE_REQUEST (RFC 5353 2.2). ``own_only``: only pool elements that the receiver owns."""

    TYPE: ClassVar[int] = 0x02

    own_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleTableResponse(EnrpMessage):
    """ENRP_HANDLE_TABLE_RESPONSE (RFC 5353 2.3). ``more``: ask again for the rest."""

    TYPE: ClassVar[int] = 0x03

    reject: bool = False
    more: bool = False
    pool_entries: tuple[PoolEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleUpdate(EnrpMessage):
    """ENRP_HANDLE_UPDATE (RFC 5353 2.4). ``update_action`` is 0 for ADD_PE, 1 for DEL_PE; ``takeover_suggested`` is
    rsplib's addition."""

    TYPE: ClassVar[int] = 0x04

    update_action: int
    takeover_suggested: bool = False
    pool_handle: bytes
    pool_element: PoolElement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest(EnrpMessage):
    """ENRP_LIST_REQUEST (RFC 5353 2.5)."""

    TYPE: ClassVar[int] = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResponse(EnrpMessage):
    """ENRP_LIST_RESPONSE (RFC 5353 2.6)."""

    TYPE: ClassVar[int] = 0x06

    reject: bool = False
    servers: tuple[ServerInformation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InitTakeover(EnrpMessage):
    """ENRP_INIT_TAKEOVER (RFC 5353 2.7)."""

    TYPE: ClassVar[int] = 0x07

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitTakeoverAck(EnrpMessage):
    """ENRP_INIT_TAKEOVER_ACK (RFC 5353 2.8)."""

    TYPE: ClassVar[int] = 0x08

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverServer(EnrpMessage):
    """ENRP_TAKEOVER_SERVER (RFC 5353 2.9)."""

    TYPE: ClassVar[int] = 0x09

    target_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrpError(EnrpMessage):
    """ENRP_ERROR (RFC 5353 2.10): at least one cause. It is never answered."""

    TYPE: ClassVar[int] = 0x0A

    operation_error: tuple[ErrorCause, ...]


ASAP_MESSAGES: tuple[type[AsapMessage], ...] = (
    Registration,
    Deregistration,
    RegistrationResponse,
    DeregistrationResponse,
    HandleResolution,
    HandleResolutionResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    ServerAnnounce,
    Cookie,
    CookieEcho,
    BusinessCard,
    AsapError,
)
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

layouts.install((*PARAMETERS, *ASAP_MESSAGES, *ENRP_MESSAGES))


def decode(data: bytes, protocol: Literal["asap", "enrp"]) -> Message:
    """The record of one message, whose octets are all of ``data`` (RFC 5354 4; final padding counted or not).

    Raises RemoteProtocolError, and nothing else whatever the octets: it carries the cause to answer with, and whether
    to answer at all.
    """
    return wire.decode(data, protocol)


def decode_transport(parameter: bytes) -> SCTPTransport:
    """The record of one SCTP Transport parameter, padding included. Raises RemoteProtocolError."""
    announcement = (
        ServerAnnounce.TYPE.to_bytes(1, "big") + bytes(1) + (8 + len(parameter)).to_bytes(2, "big") + bytes(4)
    )
    message = wire.decode(announcement + parameter, "asap")
    assert isinstance(message, ServerAnnounce)
    (transport,) = message.transports
    assert isinstance(transport, SCTPTransport)
    return transport
