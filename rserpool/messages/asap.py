"""The records of ASAP messages (RFC 5352 2.2)."""

from dataclasses import dataclass
from typing import ClassVar

from rserpool._fast.codec.message_types import AsapMessageType
from rserpool.messages.parameters import ErrorCause, Policy, PoolElement, SCTPTransport, TCPTransport
from rserpool.messages.record import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class AsapMessage(Message):
    """Any ASAP message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(AsapMessage):
    """ASAP_REGISTRATION (RFC 5352 2.2.1)."""

    TYPE: ClassVar[int] = AsapMessageType.REGISTRATION

    pool_handle: bytes
    pool_element: PoolElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregistration(AsapMessage):
    """ASAP_DEREGISTRATION (RFC 5352 2.2.2)."""

    TYPE: ClassVar[int] = AsapMessageType.DEREGISTRATION

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationResponse(AsapMessage):
    """ASAP_REGISTRATION_RESPONSE (RFC 5352 2.2.3). Without ``reject`` an error is a warning."""

    TYPE: ClassVar[int] = AsapMessageType.REGISTRATION_RESPONSE

    reject: bool = False
    pool_handle: bytes
    pe_identifier: int
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregistrationResponse(AsapMessage):
    """ASAP_DEREGISTRATION_RESPONSE (RFC 5352 2.2.4). With an error the request is rejected."""

    TYPE: ClassVar[int] = AsapMessageType.DEREGISTRATION_RESPONSE

    pool_handle: bytes
    pe_identifier: int
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleResolution(AsapMessage):
    """ASAP_HANDLE_RESOLUTION (RFC 5352 2.2.5).

    ``items`` is the number of pool elements wanted, 0xffffffff for as many as possible. It is rsplib's addition; with
    None the message has the RFC's form.
    """

    TYPE: ClassVar[int] = AsapMessageType.HANDLE_RESOLUTION

    subscribe: bool = False
    pool_handle: bytes
    items: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleResolutionResponse(AsapMessage):
    """ASAP_HANDLE_RESOLUTION_RESPONSE (RFC 5352 2.2.6): pool elements or an error."""

    TYPE: ClassVar[int] = AsapMessageType.HANDLE_RESOLUTION_RESPONSE

    accept_subscription: bool = False
    pool_handle: bytes
    policy: Policy | None = None
    pool_elements: tuple[PoolElement, ...] = ()
    operation_error: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKeepAlive(AsapMessage):
    """ASAP_ENDPOINT_KEEP_ALIVE (RFC 5352 2.2.7). ``pe_identifier`` is rsplib's addition."""

    TYPE: ClassVar[int] = AsapMessageType.ENDPOINT_KEEP_ALIVE

    home: bool = False
    server_identifier: int
    pool_handle: bytes
    pe_identifier: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKeepAliveAck(AsapMessage):
    """ASAP_ENDPOINT_KEEP_ALIVE_ACK (RFC 5352 2.2.8)."""

    TYPE: ClassVar[int] = AsapMessageType.ENDPOINT_KEEP_ALIVE_ACK

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointUnreachable(AsapMessage):
    """ASAP_ENDPOINT_UNREACHABLE (RFC 5352 2.2.9)."""

    TYPE: ClassVar[int] = AsapMessageType.ENDPOINT_UNREACHABLE

    pool_handle: bytes
    pe_identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnnounce(AsapMessage):
    """ASAP_SERVER_ANNOUNCE (RFC 5352 2.2.10), sent by UDP multicast."""

    TYPE: ClassVar[int] = AsapMessageType.SERVER_ANNOUNCE

    server_identifier: int
    transports: tuple[SCTPTransport | TCPTransport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie(AsapMessage):
    """ASAP_COOKIE (RFC 5352 2.2.11): at least one octet."""

    TYPE: ClassVar[int] = AsapMessageType.COOKIE

    cookie: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieEcho(AsapMessage):
    """ASAP_COOKIE_ECHO (RFC 5352 2.2.12): at least one octet."""

    TYPE: ClassVar[int] = AsapMessageType.COOKIE_ECHO

    cookie: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCard(AsapMessage):
    """ASAP_BUSINESS_CARD (RFC 5352 2.2.13): at least one pool element. ``policy`` is rsplib's addition."""

    TYPE: ClassVar[int] = AsapMessageType.BUSINESS_CARD

    pool_handle: bytes
    policy: Policy | None = None
    pool_elements: tuple[PoolElement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsapError(AsapMessage):
    """ASAP_ERROR (RFC 5352 2.2.14): at least one cause. A receiver never answers it."""

    TYPE: ClassVar[int] = AsapMessageType.ERROR

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
"""Every ASAP message, in the order of the types."""
