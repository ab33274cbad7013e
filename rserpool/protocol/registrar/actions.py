"""Actions that the registrar's state machines return. The caller carries them out in order."""

import enum
from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.model.numbers import ASAP_PPID, ENRP_PPID
from rserpool.protocol.actions import Abort, Note, Send


@dataclass(frozen=True, slots=True)
class SendRow:
    """Send messages over an association, in order. They may share packets."""

    association: int
    messages: list[bytes]


@dataclass(frozen=True, slots=True)
class Update:
    """Send an update to the peer registrars: a pool element of ours was added or changed (``added``), or removed."""

    added: bool
    pool_handle: bytes
    parameter: bytes
    """The complete Pool Element parameter, ASAP transport included (RFC 5353 3.3)."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Send one datagram to every announcement group."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AnnouncePresence:
    """Send one datagram to every group in which registrars announce themselves to one another."""

    data: bytes


class Protocol(enum.Enum):
    """The protocol of one of a registrar's two endpoints, by payload protocol identifier."""

    ASAP = ASAP_PPID
    ENRP = ENRP_PPID


@dataclass(frozen=True, slots=True)
class Connect:
    """Open an association from one of the registrar's endpoints, and report it as associated or unreachable."""

    protocol: Protocol
    addresses: tuple[Address, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Renumber:
    """Start again with another server identifier: another registrar has drawn the same one (RFC 5353 3.2.1)."""


Action = Send | SendRow | Abort | Connect | Update | Announce | AnnouncePresence | Renumber | Note
