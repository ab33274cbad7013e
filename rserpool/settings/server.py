"""Settings of a registrar's process: addresses, multicast groups, files, log and event loop."""

from dataclasses import dataclass

from rserpool.settings.checks import LARGEST_NUMBER, check_positive, check_range
from rserpool.settings.locator import ASAP_GROUPS

MAX_MODERATION = 0.01
"""Seconds; the resolution of SCTP's timers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Settings that concern the process rather than the protocol. Durations are in seconds."""

    identifier: int = 0
    """The server identifier, decimal or 0x hexadecimal. 0 draws a random one (RFC 5353 3.2.1)."""

    transport: str = "auto"
    """The SCTP implementation: ``kernel``, or ``usrsctp`` over UDP with UDP port = SCTP port. ``auto`` uses the
    kernel's SCTP if there is one."""

    asap: tuple[str, ...] = ()
    """Addresses that serve pool elements and pool users, ADDRESS[:PORT],... All have the same port: 3863 by default, 0
    for any free one. An empty list means every address of this host that reaches as far as the address scope."""

    enrp: tuple[str, ...] = ()
    """Addresses that serve peer registrars, ADDRESS[:PORT],... All have the same port: 9901 by default, 0 for any free
    one. An empty list means the ASAP addresses. ``off`` turns ENRP off: the registrar has no peers."""

    peer: tuple[str, ...] = ()
    """ENRP addresses of peer registrars to connect to, ADDRESS[:PORT],..., with port 9901 by default. The registrar
    finds further peers through these, and by multicast if that is on. In a TOML list, an entry with commas holds
    several addresses of one peer."""

    enrp_announce: tuple[str, ...] = ("239.0.0.51:9901",)
    """Multicast groups in which presences are sent and peers are found, ADDRESS[:PORT],... The default is rsplib's
    group. Used only if the profile has multicast presences; an empty list turns them off."""

    tcp: bool = True
    """Also serve pool users over TCP, at the same addresses and port (RFC 5352 2.1)."""

    announce: tuple[str, ...] = ASAP_GROUPS
    """Multicast groups in which the registrar announces itself, ADDRESS[:PORT],... The defaults are the groups of IANA
    and of rsplib. Elements and users that listen to them need no configured registrar. Announcements leave by the
    interfaces of the ASAP addresses; an empty list turns them off."""

    announce_ttl: int = 30
    """Number of hops that an announcement may travel (IPv4 TTL and IPv6 hop limit), 1 to 255."""

    idle_timeout: float = 0.0
    """Seconds without a message, in either direction, after which an association is closed; it may be closed up to a
    quarter later. 0 keeps idle associations. Keep-alives count as messages, so an association with an element never
    becomes idle."""

    stats_file: str = ""
    """File for statistics in rsplib's columns, one line every stats_interval: current sizes, and totals since the
    start. Compressed if the name ends in .bz2. Not written if unset."""

    stats_interval: float = 0.0
    """Seconds between two lines of the statistics file. 0 writes one line at the end."""

    action_log_file: str = ""
    """File with one line, in rsplib's columns, for each ASAP and ENRP message sent or received. Compressed if the name
    ends in .bz2. A line costs about
    0.2 µs for messages of the fast lane, more for others. Not written if unset."""

    scalar_file: str = ""
    """File for the totals and time averages of the whole run, written at the end. Not written if unset."""

    object_name: str = "registrar"
    """Name of the registrar in the scalar file."""

    csp_server: str = "127.0.0.1:2960"
    """Receiver of status reports of the Component Status Protocol over UDP, ADDRESS[:PORT], with port 2960 by default.
    rsplib's cspmonitor shows such reports."""

    csp_interval: float = 0.0
    """Seconds between two status reports. 0 sends none."""

    log_level: str = "info"
    """Least severe level to log: debug, info, warning or error."""

    moderation: float = 0.00025
    """Shortest time in seconds between two wake-ups under high load (more than 5000 messages a second, few of them from
    clients that wait for each answer). Serving several messages per wake-up costs less CPU time per message, but a
    message may wait this long. 0 turns it off."""

    uvloop: bool = True
    """Use uvloop instead of plain asyncio; it costs less CPU time per message."""

    def __post_init__(self) -> None:
        check_range(self, ("identifier",), 0, LARGEST_NUMBER)
        check_range(self, ("announce_ttl",), 1, 255)
        check_range(self, ("moderation",), 0, MAX_MODERATION)
        durations = ("idle_timeout", "stats_interval", "csp_interval")
        check_positive(self, durations, may_be_zero=durations)
