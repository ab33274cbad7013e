"""The interface of all transports: endpoints, their associations, and the callbacks of their handlers.

It is the one-to-many model of RFC 6458, without its sockets.

A wrapper, such as one for TLS, is an Endpoint around an Endpoint. It is the handler of the inner endpoint, and has the
outer handler. It must implement all of Endpoint with plaintext:

1. send() encrypts. on_message() decrypts, and calls the outer handler with the wrapper as the endpoint. If ciphertext
   is longer than plaintext, max_message is smaller than the inner endpoint's.
2. on_up() calls the outer handler once the handshake has completed, with a Peer whose principal has been proved.
   on_restart() begins another handshake, or aborts.
3. attach() must never reach the inner endpoint: its compiled code would give ciphertext to the lane and send plaintext.
   A wrapper without attach() lets requests take the readable way. A wrapper with attach() asks the lane (Lane.answer)
   with plaintext before it calls on_message(), clears Lane.declined after that call, and sends the answer like send().
   If there is no room, it calls on_answer() of the outer handler with the plaintext.
4. send_row() must not reach the inner endpoint unencrypted either.

TCP can also be encrypted below its endpoint (TcpTransport's contexts), where each connection keeps its framing.
"""

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
    """This machine lacks a requirement of the transport. The text says in one line what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """SCTP's protocol parameters (RFC 9260 16), in seconds, for every back end."""

    rto_initial: float = 0.5
    """The retransmission time-out before a round-trip time was measured."""
    rto_min: float = 0.1
    """The shortest retransmission time-out. Lower means faster failover, but false alarms on a busy machine."""
    rto_max: float = 1.0
    """The longest retransmission time-out: the most that one lost retransmission costs."""
    association_retransmissions: int = 8
    """The number of time-outs in a row after which the peer is LOST. This takes about 7 s while data waits."""
    path_retransmissions: int = 4
    """Time-outs in a row after which a path to a multihomed peer counts as failed."""
    init_retransmissions: int = 4
    """The number of unanswered INITs after which an association ends as CANT_START. This takes about 4 s."""
    heartbeat: float = 10.0
    """Seconds between two heartbeats on an idle path."""
    sack_delay: float | None = None
    """Seconds that an acknowledgement may wait for another packet to share. 0 sends it at once, so that a peer with
    Nagle's algorithm need not wait; more saves packets. It must stay well below every peer's rto_min. None leaves it to
    the back end: 0 in the kernel, and 20 ms in the process, where that saves 20 % of the CPU time of a request."""

    @property
    def found_busy(self) -> float:
        """Seconds after which a silent peer is LOST at the latest while data waits for it.

        Add the stack's timer resolution: up to 10 ms, 30 ms with thousands of associations, or 1/16 of a time-out.
        """
        return (self.association_retransmissions + 1) * self.rto_max

    @property
    def found_idle(self) -> float:
        """Seconds after which a silent peer is LOST at the latest while nothing is sent; infinity without heartbeats.

        The time between two heartbeats is ``heartbeat`` plus 0.5 to 1.5 time-outs. A heartbeat counts as missed when
        the next one is sent (RFC 9260 8.3). Linux takes at least 0.2 s for ``heartbeat`` and half a time-out.
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
"""For sessions that must fail over at once. A silent peer is LOST within found_busy = 0.4 s while data waits (usually
0.3 s), and otherwise within found_idle = 1.5 s (usually 0.6 s in the process, 1.1 s in the kernel). A lost path costs a
time-out each way. The price is about 40 small packets per second and idle association.

A network that drops four packets in a row, or a process that blocks its loop for that long, ends the association; the
latter only if SCTP runs in the process. Two paths of 2 retransmissions each tolerate more than the association's 3, as
RFC 9260 8.2 requires."""


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
        """The addresses at which peers reach this endpoint."""

    @property
    def max_message(self) -> int:
        """Octets of the longest message, sent or received. An association with a longer incoming message is aborted.

        It is smaller than requested if the transport or this machine's buffers cannot hold as much.
        """

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """Begin an association and return its identifier; on_up or on_down(CANT_START) follows.

        If an association with that peer exists already, return its identifier. ``udp_port`` is the port of a peer that
        speaks SCTP over UDP (RFC 6951). OSError if no address can be tried.
        """

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        """Send one message of 1 to max_message octets. False if there is no room: nothing is sent, on_writable follows.

        AssociationGone if there is no such association; LocalProtocolError for a message of another size.
        """

    def pause(self, assoc: int) -> None:
        """Stop on_message for that association until resume(). Ignored if it is gone or not up yet.

        The peer stops when its window is full; other associations continue. on_restart keeps its place among the
        messages. on_down(SHUTDOWN) follows the messages that arrived before it, so it may wait for resume(); LOST and
        ABORTED are reported at once, and undelivered messages are dropped. Over TCP a paused connection is not watched,
        so every on_down waits for resume(), unless send() or abort() ends the connection.
        """

    def resume(self, assoc: int) -> None:
        """Deliver the waiting messages in order, from the loop, and then new ones. Ignored if it is not paused."""

    def shutdown(self, assoc: int) -> None:
        """End in an orderly way: sent messages still arrive, then on_down(SHUTDOWN) follows. Ignored if it is gone.

        Over SCTP a peer with a closed window may delay the end for 30 s; then it is treated as a silent peer.
        """

    def abort(self, assoc: int) -> None:
        """End at once; on_down(ABORTED) follows. Ignored if it is gone."""

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        """Return the peer's addresses. AssociationGone."""

    def rtt(self, assoc: int) -> float | None:
        """Return the smoothed round-trip time in seconds, or None if it is not known."""

    async def close(self) -> None:
        """Shut down every association, abort those left after 2 s, free the port, and stop calling the handler."""


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
        """Send the messages in order until there is no room, and return how many were sent."""


class DatagramSender(Protocol):
    """An endpoint that also sends UDP datagrams from the UDP port of its own port's number (RFC 5352 3.6)."""

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """Send one datagram; to a multicast group, once from every interface that the endpoint is bound to.

        OSError only if it could not be sent from any.
        """


class Transport(Protocol):
    """Makes endpoints that carry messages in one way."""

    @property
    def name(self) -> str:
        """The name in options and logs."""

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
        """Close all endpoints and free everything."""


def as_address(text: str | Address) -> Address:
    """Return the address that a text or an address stands for; an IPv4-mapped IPv6 address becomes IPv4. ValueError."""
    address = ipaddress.ip_address(text) if isinstance(text, str) else text
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
