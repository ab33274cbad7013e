"""Holds what the machines of ENRP share, and carries out what all of them do: send, note, set timers.

The machines append their actions to ``actions`` instead of returning them, for two reasons. One message may run through
several machines: if a peer is forgotten, a takeover may lose its last voter and be won, which moves elements. And the
merging of handle tables calls back from Cython. In both cases a returned list would pass through code that does not use
it. Each event and each timer returns the gathered actions as its result.
"""

from collections.abc import Callable, Iterable

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Entry
from rserpool.messages import EnrpError, EnrpMessage, ErrorCause, Presence, SCTPTransport, ServerInformation
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.peers import EnrpLink
from rserpool.protocol.registrar.enrp.places import Place

TO_ALL = 0
"""The receiver identifier of messages to every registrar (RFC 5353 2)."""


class EnrpContext:
    """The state that the machines of ENRP share. Each machine gets this context instead of the other machines."""

    def __init__(self, shared: RegistrarContext, static_peers: tuple[Place, ...]) -> None:
        self.settings = shared.settings
        self.handlespace = shared.handlespace
        self.randomness = shared.randomness
        self.slices = shared.slices
        self.counters = shared.counters
        self.peers = shared.peers
        self.watching = shared.watching
        self.links: dict[int, EnrpLink] = {}
        """The associations of the ENRP endpoint, by number."""
        self.static_peers = static_peers
        self.place: Place = ((), 0)
        """Addresses and port of this registrar's ENRP endpoint."""
        self.started = False
        """True once this registrar has learnt the handlespace from a mentor, or serves without one."""
        self.actions: list[Action] = []
        self._wheel = shared.wheel
        self._errors = Bucket(self.settings.limits.errors_per_second, self.settings.limits.errors_burst, 0)

    @property
    def identifier(self) -> int:
        """This registrar's server identifier."""
        return self.settings.identifier

    def take_actions(self) -> list[Action]:
        """Return the actions that were gathered, in order, and begin a new list."""
        gathered, self.actions = self.actions, []
        return gathered

    def send(self, link: EnrpLink, message: EnrpMessage) -> None:
        """Send a message over one association."""
        self.actions.append(Send(link.number, message.encode()))

    def send_all(self, message: EnrpMessage) -> None:
        """Send a message to every peer that has an association (RFC 5353 3.1)."""
        self.send_octets_to_all(message.encode())

    def send_octets_to_all(self, data: bytes) -> None:
        """Send an encoded message to every peer that has an association."""
        self.actions += [Send(peer.link.number, data) for peer in self.peers.values() if peer.link is not None]

    def report(self, link: EnrpLink, causes: Iterable[ErrorCause], now: int) -> None:
        """Send an ENRP_ERROR, within the rate of errors."""
        if not self.within_error_rate(now):
            self.counters.count(Count.ERRORS_NOT_SENT)
            return
        receiver = link.peer.identifier if link.peer is not None else TO_ALL
        self.send(
            link,
            EnrpError(sender_identifier=self.identifier, receiver_identifier=receiver, operation_error=tuple(causes)),
        )

    def within_error_rate(self, now: int) -> bool:
        """True if one more error may be answered now. Counts it."""
        return self._errors.take(now)

    def abort(self, link: EnrpLink) -> None:
        """Abort an association."""
        self.actions.append(Abort(link.number))

    def note(self, level: Level, subject: str, text: str) -> None:
        """Log a text. Of the notes on one ``subject``, at most one is logged per minute."""
        self.actions.append(Note(level, subject, text))

    def arm(self, seconds: float, callback: Callable[[int], None], now: int) -> Entry:
        """Call ``callback`` with the time, after so many seconds."""

        def expire(now: int) -> list[Action]:
            callback(now)
            return self.take_actions()

        return self._wheel.insert(now + round(seconds * MICROSECONDS), expire)

    def disarm(self, entry: Entry | None) -> None:
        """Cancel a timer, if there is one."""
        if entry is not None:
            self._wheel.cancel(entry)

    def presence(self, receiver: int, *, reply_required: bool = False) -> Presence:
        """Return an ENRP_PRESENCE, always with checksum and server information (RFC 5353 2.1, 3.6.1)."""
        addresses, port = self.place
        transport = SCTPTransport(port=port, addresses=addresses) if addresses else None
        return Presence(
            sender_identifier=self.identifier,
            receiver_identifier=receiver,
            reply_required=reply_required,
            pe_checksum=self.handlespace.checksum(),
            server_information=(
                ServerInformation(server_identifier=self.identifier, transport=transport) if transport else None
            ),
        )
