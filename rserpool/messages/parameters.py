"""The records of RFC 5354 parameters and RFC 5356 policies."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rserpool._fast.base.policy_types import POLICY_VALUES
from rserpool.messages.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class SCTPTransport(Record):
    """SCTP Transport (RFC 5354 3.4): 1 to 32 addresses.

    ``transport_use`` is 0 for data only, 1 for data plus control. Decoding accepts other values; the receiver refuses
    them.
    """

    port: int
    transport_use: int = 0
    addresses: tuple[IPv4Address | IPv6Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPTransport(Record):
    """TCP Transport (RFC 5354 3.5). ``reserved`` is sent as 0; rsplib puts the transport use there."""

    port: int
    address: IPv4Address | IPv6Address
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UDPTransport(Record):
    """UDP Transport (RFC 5354 3.6)."""

    port: int
    address: IPv4Address | IPv6Address
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UDPLiteTransport(Record):
    """UDP-Lite Transport (RFC 5354 3.7)."""

    port: int
    address: IPv4Address | IPv6Address
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DCCPTransport(Record):
    """DCCP Transport (RFC 5354 3.3). ``service_code`` is a 32-bit number."""

    port: int
    service_code: int
    address: IPv4Address | IPv6Address
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueTransport(Record):
    """Opaque Transport (RFC 5354 3.16): at most 1024 octets, which only elements and users of the pool interpret."""

    value: bytes


Transport = SCTPTransport | TCPTransport | UDPTransport | UDPLiteTransport | DCCPTransport | OpaqueTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Record):
    """Pool Member Selection Policy (RFC 5354 3.8, RFC 5356).

    ``values`` are the 32-bit values in the order of POLICY_VALUES. A policy of unknown type has no values; ``data``
    holds the octets after its type, and is empty for all other policies. Loads, degradations and delay penalty factors
    (dpf) are fractions of 0xffffffff, distances milliseconds. A property that the type lacks raises AttributeError.
    """

    policy_type: int
    values: tuple[int, ...] = ()
    data: bytes = b""

    def value(self, name: str) -> int:
        """The value of that name. Raises AttributeError if the policy has none."""
        names = POLICY_VALUES.get(self.policy_type, ())
        if name not in names:
            raise AttributeError(f"policy 0x{self.policy_type:08x} has no {name}")
        return self.values[names.index(name)]

    @property
    def weight(self) -> int:
        return self.value("weight")

    @property
    def priority(self) -> int:
        return self.value("priority")

    @property
    def load(self) -> int:
        return self.value("load")

    @property
    def load_degradation(self) -> int:
        return self.value("load_degradation")

    @property
    def load_dpf(self) -> int:
        return self.value("load_dpf")

    @property
    def weight_dpf(self) -> int:
        return self.value("weight_dpf")

    @property
    def distance(self) -> int:
        return self.value("distance")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolElement(Record):
    """Pool Element (RFC 5354 3.10).

    ``home_identifier`` is 0 while the element has no home registrar. ``registration_life`` is a signed 32-bit number in
    the unit of the profile (seconds in the RFC); -1 means that the registration does not expire.
    """

    identifier: int
    home_identifier: int = 0
    registration_life: int
    user_transport: Transport
    policy: Policy
    asap_transport: SCTPTransport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInformation(Record):
    """Server Information (RFC 5354 3.11)."""

    server_identifier: int
    transport: SCTPTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCause(Record):
    """One cause of an Operation Error (RFC 5354 3.12). ``code`` may be one that errors.Cause does not list."""

    code: int
    information: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEntry(Record):
    """A pool in an ENRP_HANDLE_TABLE_RESPONSE (RFC 5353 2.3): its handle and at least one pool element."""

    pool_handle: bytes
    pool_elements: tuple[PoolElement, ...]


PARAMETERS: tuple[type[Record], ...] = (
    SCTPTransport,
    TCPTransport,
    UDPTransport,
    UDPLiteTransport,
    DCCPTransport,
    OpaqueTransport,
    Policy,
    PoolElement,
    ServerInformation,
    ErrorCause,
    PoolEntry,
)
"""Every record that is not a message."""
