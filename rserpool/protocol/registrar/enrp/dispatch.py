"""ENRP (RFC 5353): peers, presence, lists and handle updates; the handlespace that registrars mirror.

Rules that no table shows: a sender's identifier sticks to its association; what a peer says touches only elements whose
home that peer is; a message that is wrong changes nothing, and is counted, noted and, where the RFC says so, answered.
"""

from collections.abc import Callable
from functools import partial

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Entry
from rserpool._fast.lane.merge import ordinary_table
from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    EnrpError,
    EnrpMessage,
    ErrorCause,
    HandleTableRequest,
    HandleTableResponse,
    HandleUpdate,
    InitTakeover,
    InitTakeoverAck,
    ListRequest,
    ListResponse,
    Presence,
    SCTPTransport,
    ServerInformation,
    TakeoverServer,
    decode,
)
from rserpool.model.addresses import Address, usable
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action, AnnouncePresence, Connect, Protocol, Renumber
from rserpool.protocol.registrar.asap.answers import because
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.handle_tables import Tables
from rserpool.protocol.registrar.enrp.handle_updates import Mirror
from rserpool.protocol.registrar.enrp.mentor import Startup
from rserpool.protocol.registrar.enrp.peers import LET_BE, TABLE, EnrpLink, Event, PeerRegistrar, State
from rserpool.protocol.registrar.enrp.takeover import Takeovers

EVERYBODY = 0
EMPTY_TABLE = b"\x00\x0c"
"""The length of an ENRP_HANDLE_TABLE_RESPONSE without entries."""
CALL_PATIENCE = 60.0
"""Seconds after which a call that nobody reported on may be repeated."""
JITTER = 0.125
EARLY_LISTS = (2, 4)
LIST_CYCLE = 10
"""Heartbeats after which peers are asked for their lists: soon after the start, when others have started too, and now
and then, so that registrars that could not meet at first (a partition, a mentor that knew one of them only) do."""

Place = tuple[tuple[Address, ...], int]
"""Addresses and port of an endpoint."""


class EnrpRegistrar:
    """One registrar among its peers. Actions gather in ``out`` and are taken by ``drain``."""

    def __init__(self, context: RegistrarContext, elements: Elements, static_peers: tuple[Place, ...]) -> None:
        settings = context.settings
        self.settings = settings
        self.handlespace = context.handlespace
        self.randomness = context.randomness
        self.elements = elements
        self.counters = context.counters
        self.peers = context.peers
        self.links: dict[int, EnrpLink] = {}
        self.static_peers = static_peers
        self.slices = context.slices
        self.now = 0
        self.place: Place = ((), 0)
        self.startup = Startup(self)
        self.mirror = Mirror(self)
        self.tables = Tables(self)
        self.takeovers = Takeovers(self)
        self.out: list[Action] = []
        self._reactions: dict[str, Callable[[PeerRegistrar], None]] = {
            "wait_for_silence": self.watch,
            "ask": self._ask,
            "bury": self.takeovers.bury,
            "go_on": self.takeovers.go_on,
            "abandon": self.takeovers.abandon,
            "consent": self.takeovers.consent,
            "arbitrate": self.takeovers.arbitrate,
        }
        self._wheel = context.wheel
        self._calling: dict[Place, Entry] = {}
        self._beats = 0
        self._orphans: dict[int, int] = {}
        self._errors = Bucket(settings.limits.errors_per_second, settings.limits.errors_burst, 0)
        self._handlers: dict[type, Callable[..., None]] = {
            Presence: self._presence,
            HandleTableRequest: self.tables.requested,
            HandleUpdate: self.mirror.updated,
            ListRequest: self._list_requested,
            ListResponse: self._listed,
            InitTakeover: self.takeovers.initiated,
            InitTakeoverAck: self.takeovers.consented,
            TakeoverServer: self.takeovers.taken_over,
            EnrpError: self._error,
        }

    # Doing

    @property
    def identifier(self) -> int:
        """This registrar's server identifier."""
        return self.settings.identifier

    def drain(self) -> list[Action]:
        """The actions that have gathered."""
        gathered, self.out = self.out, []
        return gathered

    def send(self, link: EnrpLink, message: EnrpMessage) -> None:
        """Send a message over one association."""
        self.out.append(Send(link.number, message.encode()))

    def tell_all(self, message: EnrpMessage) -> None:
        """One copy to every peer that has an association (RFC 5353 3.1)."""
        data = message.encode()
        self.out += [Send(peer.link.number, data) for peer in self.peers.values() if peer.link is not None]

    def note(self, level: Level, subject: str, text: str) -> None:
        """Something for the log."""
        self.out.append(Note(level, subject, text))

    def arm(self, seconds: float, callback: Callable[[], None]) -> Entry:
        """Call back after so many seconds."""

        def due(now: int) -> list[Action]:
            self.now = now
            callback()
            return []

        return self._wheel.insert(self.now + round(seconds * MICROSECONDS), due)

    def disarm(self, entry: Entry | None) -> None:
        """Do not call back."""
        if entry is not None:
            self._wheel.cancel(entry)

    def connect(self, place: Place) -> None:
        """Open an association to a registrar, unless that is under way."""
        if not place[0] or place in self._calling or same_place(place, self.place):
            return
        there = next((link for link in self.links.values() if met(link, place)), None)
        if there is not None:
            if there.peer is None:
                self.send(there, self.presence(EVERYBODY, reply_required=True))
            return
        self._calling[place] = self.arm(CALL_PATIENCE, partial(self._called, place))
        self.out.append(Connect(Protocol.ENRP, *place))

    def _called(self, place: Place) -> None:
        """The call is over, answered or not."""
        self.disarm(self._calling.pop(place, None))

    # Life

    def start(self, now: int, addresses: tuple[Address, ...], port: int) -> None:
        """Begin, with the ENRP endpoint at these addresses."""
        self.now = now
        self.place = (usable(addresses, self.settings.address_scope), port)
        self.startup.begin()
        self._beat()

    def _beat(self) -> None:
        """A presence to every peer each heartbeat cycle, a greeting where an association has no peer yet, and another
        try to reach those that have no association."""
        presence = self.presence(EVERYBODY)
        self.tell_all(presence)
        for link in self.links.values():
            if link.peer is None:
                self.send(link, self.presence(EVERYBODY, reply_required=True))
        self._beats += 1
        if self._beats in EARLY_LISTS or self._beats % LIST_CYCLE == 0:
            for peer in self.peers.values():
                self._ask_for_list(peer)
        if self.settings.profile.multicast_presence:
            self.out.append(AnnouncePresence(presence.encode()))
        for peer in self.peers.values():
            if peer.link is None and peer.state is not State.TARGET:
                self.connect((peer.addresses, peer.port))
        for place in self.static_peers:
            if not any(met(link, place) for link in self.links.values()):
                self.connect(place)
        self._find_orphans()
        draw = 1 + JITTER * (2 * self.randomness.random() - 1)
        self.arm(self.settings.heartbeat * draw, self._beat)

    def _find_orphans(self) -> None:
        """Elements may name a home that is no peer: a mentor's table was older than its home's end. A home that is not
        met for as long as a peer may be silent is treated as a peer that is."""
        since = {
            home: self._orphans.get(home, self.now)
            for home in self.handlespace.homes()
            if home != self.identifier and home not in self.peers
        }
        self._orphans = since
        patience = (self.settings.last_heard + self.settings.max_time_no_response) * MICROSECONDS
        for home, first in since.items():
            if self.now - first > patience and len(self.peers) < self.settings.limits.peers:
                peer = self.peers[home] = PeerRegistrar(home, (), 0)
                self.happen(peer, Event.GONE)

    def presence(self, receiver: int, *, reply_required: bool = False) -> Presence:
        """ENRP_PRESENCE, with checksum and server information always (RFC 5353 2.1, 3.6.1)."""
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

    # Associations

    def associated(self, number: int, other: Peer, now: int) -> None:
        """An association of the ENRP endpoint came up: ours are greeted, others speak first."""
        self.now = now
        place = next((place for place in self._calling if same_place((other.addresses, other.port), place)), None)
        link = self.links[number] = EnrpLink(number, other, called=place is not None)
        if place is not None:
            self._called(place)
            self.send(link, self.presence(EVERYBODY, reply_required=True))
            self.startup.met(link)

    def unreachable(self, place: Place, now: int) -> None:
        """An association could not be opened."""
        self.now = now
        self._called(place)
        for peer in tuple(self.peers.values()):
            if peer.link is None and same_place((peer.addresses, peer.port), place):
                self.happen(peer, Event.GONE)

    def lost(self, number: int, now: int) -> None:
        """An association of the ENRP endpoint ended."""
        self.now = now
        link = self.links.pop(number, None)
        if link is None:
            return
        if link.upload is not None:
            self.disarm(link.upload.timer)
        self.startup.lost(link)
        peer = link.peer
        if peer is not None and peer.link is link:
            peer.link = None
            self.tables.interrupted(peer)
            self.happen(peer, Event.GONE)

    # Messages

    def received(self, number: int, data: bytes, now: int) -> None:
        """A whole message with the ENRP payload protocol identifier arrived."""
        self.now = now
        link = self.links.get(number)
        if link is None or not data:
            return
        if data[0] == HandleUpdate.TYPE and self.mirror.updated_plainly(link, data):
            return
        entries = data if ordinary_table(data) else b""
        try:
            message = decode(data[:2] + EMPTY_TABLE + data[4:12] if entries else data, "enrp")
        except RemoteProtocolError as error:
            self._malformed(link, error)
            return
        assert isinstance(message, EnrpMessage)
        if isinstance(message, EnrpError):
            self._error(link, message)
            return
        if not self._identified(link, message):
            return
        assert link.peer is not None
        self.happen(link.peer, Event.HEARD)
        if isinstance(message, HandleTableResponse):
            self.tables.responded(link, message, entries)
        else:
            self._handlers[type(message)](link, message)
        if message.unrecognized:
            self._report(
                link,
                tuple(ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=tlv) for tlv in message.unrecognized),
            )

    def _identified(self, link: EnrpLink, message: EnrpMessage) -> bool:
        """Whether the message is from whom its association belongs to, and for us; the first one tells whose it is."""
        sender = message.sender_identifier
        if message.receiver_identifier not in (EVERYBODY, self.identifier):
            self.counters.count(Count.MISDIRECTED)
            return False
        if sender in (0, self.identifier):
            self.counters.count(Count.DUPLICATE_IDENTIFIERS)
            text = f"{link.other} uses server identifier 0x{sender:08x}, which is nobody's or ours"
            self.note(Level.ERROR, f"{link.other} identifier", text)
            if sender and self._yields(link.other.addresses):
                self.out.append(Renumber())
            elif sender and isinstance(message, Presence) and message.reply_required and self._errors.take(self.now):
                self.send(link, self.presence(EVERYBODY))
            return False
        if link.peer is not None and link.peer.identifier == sender:
            link.peer.link = link.peer.link or link
            return True
        if link.peer is not None:
            self.counters.count(Count.CHANGED_IDENTIFIERS)
            text = f"{link.other} changed from {link.peer} to 0x{sender:08x}: aborted"
            self.note(Level.WARNING, f"{link.other} identifier", text)
            self.out.append(Abort(link.number))
            return False
        return self._adopt(link, sender, tells_twins=isinstance(message, ListRequest))

    def _yields(self, twin: tuple[Address, ...]) -> bool:
        """Whether this registrar, not the twin at those addresses, is to take another identifier: if ours was drawn,
        and we are only starting, or, so that just one of two does, our address is the smaller."""
        if not self.settings.identifier_drawn or not twin or not self.place[0]:
            return False
        return not self.startup.over or order(self.place[0][0]) < order(twin[0])

    def _adopt(self, link: EnrpLink, sender: int, *, tells_twins: bool) -> bool:
        """The association belongs to this peer from now on, unless another one that works does. A twin of that peer may
        learn of it by our list, so that the two can sort it out."""
        peer = self.peers.get(sender)
        if peer is None:
            if len(self.peers) >= self.settings.limits.peers:
                self.counters.count(Count.PEERS_REFUSED)
                self.note(Level.WARNING, "peers", f"too many peer registrars: {link.other} is ignored")
                return False
            peer = self.peers[sender] = PeerRegistrar(sender, link.other.addresses, link.other.port)
            self.note(Level.INFO, f"peer 0x{sender:08x}", f"{peer} at {link.other} is a peer")
            if not link.called:
                self.send(link, self.presence(sender, reply_required=True))
        elif peer.link is not None and not set(peer.link.other.addresses) & set(link.other.addresses):
            self.counters.count(Count.DUPLICATE_IDENTIFIERS)
            self.note(Level.ERROR, f"{link.other} identifier", f"{link.other} says it is {peer}, which is elsewhere")
            if tells_twins:
                self._send_list(link, sender)
            return False
        peer.fresh = not self.startup.over or self.handlespace.home_size(sender) > 0
        peer.link = link
        link.peer = peer
        return True

    def _malformed(self, link: EnrpLink, error: RemoteProtocolError) -> None:
        self.counters.count(Count.MALFORMED)
        self.note(Level.WARNING, f"{link.other} malformed", f"{link.other} sent a message that is wrong: {error}")
        if error.report:
            self._report(link, (because(error.cause, error.information),))

    def _report(self, link: EnrpLink, causes: tuple[ErrorCause, ...]) -> None:
        """An ENRP_ERROR, unless there have been as many as there may."""
        if not self._errors.take(self.now):
            self.counters.count(Count.ERRORS_NOT_SENT)
            return
        receiver = link.peer.identifier if link.peer is not None else EVERYBODY
        self.send(
            link,
            EnrpError(sender_identifier=self.identifier, receiver_identifier=receiver, operation_error=causes),
        )

    def _error(self, link: EnrpLink, message: EnrpError) -> None:
        """Counted and noted; nothing is done because of an error, and nobody becomes a peer by one."""
        self.counters.count(Count.ERRORS_RECEIVED)
        self.note(Level.INFO, f"{link.other} error", f"{link.other} reports {message.operation_error}")

    # Peers

    def happen(self, peer: PeerRegistrar, event: Event) -> None:
        """One event in the life of a peer, by the table."""
        action, state = TABLE[peer.state, event]
        peer.state = state
        if action == LET_BE:
            return
        self.disarm(peer.timer)
        peer.timer = None
        self._reactions[action](peer)

    def silent(self, peer: PeerRegistrar) -> None:
        """The time that the peer's state allows is over."""
        peer.timer = None
        self.happen(peer, Event.SILENT)

    def watch(self, peer: PeerRegistrar) -> None:
        """The peer lives; it may be silent for so long."""
        peer.claimed_by = None
        peer.timer = self.arm(self.settings.last_heard, partial(self.silent, peer))

    def _ask(self, peer: PeerRegistrar) -> None:
        """Ask for a sign of life, over a new association if there is none (RFC 5353 3.4.3)."""
        if peer.link is not None:
            self.send(peer.link, self.presence(peer.identifier, reply_required=True))
        else:
            self.connect((peer.addresses, peer.port))
        peer.timer = self.arm(self.settings.max_time_no_response, partial(self.silent, peer))

    def forget(self, peer: PeerRegistrar) -> None:
        """Strike a peer off the list."""
        self.disarm(peer.timer)
        peer.timer = None
        self.tables.interrupted(peer)
        self.peers.pop(peer.identifier, None)
        peer.link = None
        for link in self.links.values():
            if link.peer is peer:
                link.peer = None
                self.out.append(Abort(link.number))
        for other in tuple(self.peers.values()):
            self.takeovers.voter_gone(other, peer.identifier)

    # Presence (RFC 5353 3.4.2, 3.6)

    def _presence(self, link: EnrpLink, message: Presence) -> None:
        peer = link.peer
        assert peer is not None
        information = message.server_information
        if information is not None:
            if information.server_identifier != peer.identifier:
                self.counters.count(Count.MALFORMED)
                self.note(Level.WARNING, f"{link.other} malformed", f"{link.other} informs of another registrar")
                return
            own = tuple(
                address
                for address in usable(information.transport.addresses, self.settings.address_scope)
                if address in link.other.addresses
            )
            peer.addresses, peer.port = own or link.other.addresses, information.transport.port
        if message.reply_required:
            self.send(link, self.presence(peer.identifier))
        self.startup.met(link)
        if message.pe_checksum is not None:
            self.tables.compare(peer, message.pe_checksum)

    def presence_heard(self, data: bytes, address: Address, port: int, now: int) -> None:
        """A presence by multicast is a hint only: a registrar that is not known yet is called."""
        self.now = now
        try:
            message = decode(data, "enrp")
        except RemoteProtocolError:
            self.counters.count(Count.MALFORMED_ANNOUNCEMENTS)
            return
        if not isinstance(message, Presence) or message.sender_identifier == 0:
            return
        if message.sender_identifier == self.identifier:
            if address not in self.place[0] and self._yields((address,)):
                self.out.append(Renumber())
            return
        if message.sender_identifier not in self.peers and len(self.peers) < self.settings.limits.peers:
            information = message.server_information
            self.connect(((address,), information.transport.port if information is not None else port))

    # Lists (RFC 5353 3.2.2)

    def _list_requested(self, link: EnrpLink, message: ListRequest) -> None:
        assert link.peer is not None
        self._send_list(link, link.peer.identifier)

    def _send_list(self, link: EnrpLink, receiver: int) -> None:
        servers = tuple(
            ServerInformation(
                server_identifier=peer.identifier, transport=SCTPTransport(port=peer.port, addresses=peer.addresses)
            )
            for _, peer in sorted(self.peers.items())
            if peer.addresses
        )
        self.send(
            link,
            ListResponse(
                sender_identifier=self.identifier,
                receiver_identifier=receiver,
                reject=not self.startup.over,
                servers=servers if self.startup.over else (),
            ),
        )

    def _ask_for_list(self, peer: PeerRegistrar) -> None:
        if peer.link is not None:
            peer.link.listing = True
            self.send(peer.link, ListRequest(sender_identifier=self.identifier, receiver_identifier=peer.identifier))

    def _listed(self, link: EnrpLink, message: ListResponse) -> None:
        """A list that was asked for; who refuses is asked again in time."""
        if self.startup.wants_list(link):
            self.startup.listed(message)
        elif link.listing:
            link.listing = False
            self.meet(message.servers)
        else:
            self.counters.count(Count.UNEXPECTED_RESPONSES)

    def meet(self, servers: tuple[ServerInformation, ...]) -> None:
        """Call the registrars of a list that are not known yet, a twin that has our identifier elsewhere among them."""
        room = self.settings.limits.peers - len(self.peers)
        for server in servers:
            if server.server_identifier == 0 or server.server_identifier in self.peers:
                continue
            place = (usable(server.transport.addresses, self.settings.address_scope), server.transport.port)
            if place[0] and room > 0:
                room -= 1
                self.connect(place)


def order(address: Address) -> tuple[int, bytes]:
    """Addresses in an order that all registrars agree on."""
    return address.version, address.packed


def same_place(one: Place, other: Place) -> bool:
    """Whether two endpoints have the port and an address in common."""
    return one[1] == other[1] and not set(one[0]).isdisjoint(other[0])


def met(link: EnrpLink, place: Place) -> bool:
    """Whether an association leads to that endpoint."""
    if same_place((link.other.addresses, link.other.port), place):
        return True
    return link.peer is not None and same_place((link.peer.addresses, link.peer.port), place)
