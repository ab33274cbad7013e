"""What every transport offers: endpoints, associations, events. RFC 6458's one-to-many model, without its sockets."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rserpool._fast.lane.lane import Lane
from rserpool.errors import RSerPoolError
from rserpool.model.association_ends import MAX_USER_MESSAGE, AssociationGone, Down
from rserpool.model.numbers import MAX_MESSAGE_OCTETS
from rserpool.protocol.peer import Peer

__all__ = [
    "FAST",
    "MAX_MESSAGE_OCTETS",
    "MAX_USER_MESSAGE",
    "Address",
    "AssociationGone",
    "Attaching",
    "Bundling",
    "DatagramSender",
    "Down",
    "Endpoint",
    "Handler",
    "Transport",
    "TransportUnavailable",
    "Tuning",
    "as_address",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TransportUnavailable(RSerPoolError):
    """This machine lacks what the transport needs; the text says in one line what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How patient SCTP is (RFC 9260 16). Seconds; the same on every back end."""

    rto_initial: float = 0.5
    """The first retransmission time-out, before anything was measured."""
    rto_min: float = 0.1
    """Its lower bound. Lower means faster failover and, on a busy machine, false alarms."""
    rto_max: float = 1.0
    """Its upper bound. It bounds what one lost retransmission costs."""
    association_retransmissions: int = 8
    """Time-outs in a row after which the peer is LOST: after about 7 s with data waiting."""
    path_retransmissions: int = 4
    """Time-outs in a row after which a multihomed peer's path is given up."""
    init_retransmissions: int = 4
    """INITs without an answer after which an association CANT_START: about 4 s."""
    heartbeat: float = 10.0
    """Between two heartbeats on an idle path."""
    sack_delay: float | None = None
    """How long an acknowledgement waits for company. 0 sends it at once, so that a peer that uses Nagle's algorithm
    need not wait; more saves packets. Must stay well below every peer's rto_min. None leaves it to the back end: 0 in
    the kernel; 20 ms in the process, where that saves a fifth of the CPU time of a request and its answer."""

    @property
    def found_busy(self) -> float:
        """Seconds within which a peer that has gone silent is LOST while data waits for it: every time-out the longest.

        To that adds what the stack's clock is coarse: up to 10 ms, with thousands of associations 30, or a sixteenth of
        a time-out.
        """
        return (self.association_retransmissions + 1) * self.rto_max

    @property
    def found_idle(self) -> float:
        """The same while nothing is sent, by heartbeats; infinity where there are none.

        A heartbeat follows the last by ``heartbeat`` and half to one and a half time-outs, and is missed when the next
        is due (RFC 9260 8.3). Linux counts no less than 0.2 s for ``heartbeat`` and half a time-out.
        """
        if not self.heartbeat:
            return float("inf")
        interval = max(self.heartbeat + self.rto_max / 2, 0.2) + self.rto_max
        return (self.association_retransmissions + 2) * interval


FAST = Tuning(
    rto_initial=0.1,
    rto_min=0.05,
    rto_max=0.1,
    association_retransmissions=3,
    path_retransmissions=2,
    heartbeat=0.05,
)
"""For sessions that are to fail over at once. A silent peer is LOST within found_busy = 0.4 s with data waiting
(usually 0.3 s), and within found_idle = 1.5 s without (usually 0.6 s in the process, 1.1 s in the kernel). A path that
is lost costs a time-out each way. The price: some forty small packets a second and idle association.

Nobody may be silent for that long: neither a network that drops four packets in a row, nor a process that keeps its
loop from turning, where SCTP runs in that process. Two paths of 2 retransmissions each bear more than the association's
3, as RFC 9260 8.2 wants it."""


class Handler(Protocol):
    """Callbacks of an endpoint's owner.

    The endpoint calls them from the loop, never from inside one of its own methods. Each association gets one on_up,
    then its messages in order, then one on_down; or on_down(CANT_START) alone.
    """

    def on_up(self, endpoint: "Endpoint", assoc: int, peer: Peer) -> None:
        """An association has come up, opened by connect() or by the peer."""

    def on_restart(self, endpoint: "Endpoint", assoc: int) -> None:
        """The peer lost its state and restarted the association (RFC 9260 5.2.4); the identifier stays the same."""

    def on_message(self, endpoint: "Endpoint", assoc: int, data: bytes, ppid: int) -> None:
        """One whole message and its payload protocol identifier, in host byte order."""

    def on_answer(self, endpoint: "Endpoint", assoc: int, data: bytes) -> None:
        """An answer of the association's lane could not be sent (see Attaching): send it later, or drop it."""

    def on_down(self, endpoint: "Endpoint", assoc: int, reason: Down) -> None:
        """The association has ended, and its identifier is no longer valid."""

    def on_writable(self, endpoint: "Endpoint", assoc: int) -> None:
        """There is room again after send() returned False."""


class Endpoint(Protocol):
    """One local port with any number of associations. Their identifiers are unique per endpoint only."""

    @property
    def port(self) -> int:
        """The SCTP (or TCP) port."""

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses on which peers reach this endpoint."""

    @property
    def max_message(self) -> int:
        """Octets of the largest message that send() takes and that a peer may send; beyond, its association is aborted.

        What was asked for, or less where the transport or this machine's buffers cannot do that.
        """

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """Begin an association and return its identifier; on_up or on_down(CANT_START) follows.

        With a peer to which an association exists already, return that one's. ``udp_port`` is where a peer that speaks
        SCTP over UDP (RFC 6951) listens. OSError if no address can be tried.
        """

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        """Hand over one message of 1 to max_message octets. False: no room, nothing was taken, on_writable follows.

        AssociationGone if there is none; LocalProtocolError for a message of another size.
        """

    def pause(self, assoc: int) -> None:
        """No on_message for that association before resume(). Nothing if it is gone or not up yet.

        The peer is slowed down by its window; the other associations go on. on_down is still told: SHUTDOWN behind the
        messages that arrived before it, so after resume() where there are any; LOST and ABORTED at once, and what was
        not delivered is dropped. on_restart keeps its place among the messages. Over TCP nobody looks at a paused
        connection, so every on_down waits for resume(), unless send() or abort() ends it.
        """

    def resume(self, assoc: int) -> None:
        """What waited is delivered in order, from the loop, and more may come. Nothing if it is not paused."""

    def shutdown(self, assoc: int) -> None:
        """End in order: what was sent still arrives, then on_down(SHUTDOWN). Nothing if it is gone already.

        Over SCTP a peer that takes nothing may hold it up for 30 s; then it is treated as one that is silent.
        """

    def abort(self, assoc: int) -> None:
        """End at once, then on_down(ABORTED). Nothing if it is gone already."""

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        """The peer's addresses. AssociationGone if there is no such association."""

    def rtt(self, assoc: int) -> float | None:
        """The smoothed round-trip time in seconds, None where nothing is known."""

    async def close(self) -> None:
        """Shut down every association, wait at most 2 s, abort the rest, free the port. The handler hears no more."""


@runtime_checkable
class Attaching(Protocol):
    """An endpoint that can answer from a registrar's fast lane."""

    def attach(self, assoc: int, lane: Lane) -> None:
        """Answer the requests that the lane serves without calling on_message.

        If an answer cannot be sent, the endpoint calls on_answer. AssociationGone.
        """


@runtime_checkable
class Bundling(Protocol):
    """An endpoint that can put several messages into one packet."""

    def send_row(self, assoc: int, messages: list[bytes], ppid: int) -> int:
        """As ``send`` for each of them in order, until there is no room; how many were taken."""


class DatagramSender(Protocol):
    """An endpoint that also sends UDP datagrams from the UDP port of its own port's number (RFC 5352 3.6)."""

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """Send one datagram; one to a multicast group leaves once by every interface that the endpoint is bound to.

        OSError only if it left by none.
        """


class Transport(Protocol):
    """A way to carry messages."""

    @property
    def name(self) -> str:
        """What it is called in options and logs."""

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> Endpoint:
        """Bind to all the addresses and one port (0: any). OSError with address and port in its text if that fails.

        ``max_message``: see Endpoint.max_message; at most MAX_USER_MESSAGE.
        """

    async def stop(self) -> None:
        """Close what is still open and free everything."""


def as_address(text: str | Address) -> Address:
    """An address record of a text or record; an IPv4-mapped IPv6 address becomes IPv4. ValueError."""
    address = ipaddress.ip_address(text) if isinstance(text, str) else text
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
