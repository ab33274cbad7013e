"""Actions that the registrar's state machines return. The caller carries them out in order."""

import enum
from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.model.numbers import ASAP_PPID, ENRP_PPID
from rserpool.protocol.actions import Abort, Note, Send


@dataclass(frozen=True, slots=True)
class SendRow:
    """Send messages over an association, in order, which may share packets."""

    association: int
    messages: list[bytes]


@dataclass(frozen=True, slots=True)
class Update:
    """Tell the peer registrars that a pool element of ours came or changed (``added``) or went."""

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
    """Send one datagram to every group at which registrars find one another."""

    data: bytes


class Protocol(enum.Enum):
    """Which of a registrar's two endpoints an association belongs to, by its payload protocol identifier."""

    ASAP = ASAP_PPID
    ENRP = ENRP_PPID


@dataclass(frozen=True, slots=True)
class Connect:
    """Open an association from one of the registrar's endpoints; it is heard of when it is up, or as unreachable."""

    protocol: Protocol
    addresses: tuple[Address, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Renumber:
    """Start over with another server identifier: this one, drawn at random, is another registrar's (RFC 5353 3.2.1)."""


Action = Send | SendRow | Abort | Connect | Update | Announce | AnnouncePresence | Renumber | Note
