"""Status reports of rsplib's Component Status Protocol, which cspmonitor shows: UDP datagrams, port 2960."""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from rserpool.model.addresses import Address, Scope, scope
from rserpool.model.numbers import ENRP_PPID

REPORT = 1
FINAL = 0x01
VERSION = 0x0200
HEADER = struct.Struct(">BBHIQQI128s128sHH")
ENTRY = struct.Struct(">QQHHI")
TEXT_OCTETS = 128
UNKNOWN_DURATION = 0xFFFFFFFFFFFFFFFF
UNKNOWN_WORKLOAD = 0xFFFF
FULL_WORKLOAD = 0xFFFE
OBJECT = (1 << 56) - 1
MAX_ASSOCIATIONS = (65_507 - HEADER.size) // ENTRY.size
"""The number of associations that fit into one UDP datagram."""
SCTP = 132


class Group(enum.IntEnum):
    """The kind of a component."""

    REGISTRAR = 1
    POOL_ELEMENT = 2
    POOL_USER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A component: the sender of a report, or the far end of one of its associations."""

    group: int
    identifier: int
    """56 bits."""

    def number(self) -> int:
        """The 64 bits on the wire."""
        return self.group << 56 | self.identifier & OBJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationReport:
    """One association of the component."""

    receiver: Component
    duration: int | None = None
    """Microseconds since it came up; None if unknown."""
    protocol: int = SCTP
    """The IP protocol number."""
    ppid: int = ENRP_PPID
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """One report. Texts longer than 128 octets of UTF-8 are cut; control characters become question marks."""

    sender: Component
    uptime: int
    """Microseconds since the component started."""
    interval: int
    """Microseconds between two reports."""
    location: str = ""
    status: str = ""
    workload: float | None = None
    """0 to 1; None if the component has none."""
    associations: tuple[AssociationReport, ...] = ()
    final: bool = False

    def encode(self) -> bytes:
        """The datagram. It lists as many associations as fit."""
        listed = self.associations[:MAX_ASSOCIATIONS]
        workload = UNKNOWN_WORKLOAD if self.workload is None else round(self.workload * FULL_WORKLOAD)
        head = HEADER.pack(
            REPORT,
            FINAL if self.final else 0,
            HEADER.size + ENTRY.size * len(listed),
            VERSION,
            self.sender.number(),
            self.uptime,
            self.interval,
            text_octets(self.location),
            text_octets(self.status),
            workload,
            len(listed),
        )
        return head + b"".join(
            ENTRY.pack(
                entry.receiver.number(),
                UNKNOWN_DURATION if entry.duration is None else entry.duration,
                entry.flags,
                entry.protocol,
                entry.ppid,
            )
            for entry in listed
        )


def text_octets(text: str) -> bytes:
    """At most 128 octets of whole characters."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain.encode("utf-8", "replace")[:TEXT_OCTETS].decode("utf-8", "ignore").encode()


def decode(data: bytes) -> StatusReport:
    """A report from its datagram. Raises ValueError unless type, version and length are right."""
    if len(data) < HEADER.size:
        raise ValueError("a status report is shorter than its header")
    kind, flags, length, version, sender, uptime, interval, location, status, workload, count = HEADER.unpack_from(data)
    if (kind, version) != (REPORT, VERSION):
        raise ValueError(f"not a status report: type {kind}, version 0x{version:x}")
    if length != len(data) or length != HEADER.size + count * ENTRY.size:
        raise ValueError("the length field of a status report is wrong")
    if workload != UNKNOWN_WORKLOAD and workload > FULL_WORKLOAD:
        raise ValueError("the workload of a status report is out of range")
    return StatusReport(
        sender=component(sender),
        uptime=uptime,
        interval=interval,
        location=shown(location),
        status=shown(status),
        workload=None if workload == UNKNOWN_WORKLOAD else workload / FULL_WORKLOAD,
        associations=tuple(
            AssociationReport(
                receiver=component(receiver),
                duration=None if duration == UNKNOWN_DURATION else duration,
                flags=entry_flags,
                protocol=protocol,
                ppid=ppid,
            )
            for receiver, duration, entry_flags, protocol, ppid in ENTRY.iter_unpack(data[HEADER.size :])
        ),
        final=bool(flags & FINAL),
    )


def component(number: int) -> Component:
    return Component(group=number >> 56, identifier=number & OBJECT)


def shown(octets: bytes) -> str:
    """A text without padding, with control characters replaced."""
    text = octets.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)


def location(host: str, addresses: Sequence[Address], port: int) -> str:
    """The location of a component: host name, and the addresses of its widest scope, the first with port."""
    widest = [address for address in addresses if scope(address) == Scope.GLOBAL]
    widest = widest or [address for address in addresses if scope(address) >= Scope.SITE_LOCAL]
    if not widest:
        return f"{host}: (local only)"
    first = f"[{widest[0]}]:{port}" if widest[0].version == 6 else f"{widest[0]}:{port}"
    return f"{host}: {', '.join([first, *map(str, widest[1:])])}"


def status(elements: int, owned: int, pools: int, peers: int) -> str:
    """A registrar's status in words."""
    return (
        f"{elements}[{owned}] PEs in {pools} Pool{'' if pools == 1 else 's'}, {peers} Peer{'' if peers == 1 else 's'}"
    )
