"""ENRP (RFC 5353): composes the machines of a registrar among its peers, and dispatches messages to them.

Rules that no table shows: an association belongs to the first sender over it; a peer can change only elements whose
home it is; a message that is wrong changes nothing, and is counted, noted and, where the RFC demands it, answered.
"""

from collections.abc import Callable
from typing import Any

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
    TakeoverServer,
    decode,
    decode_handle_table_head,
    message_type,
)
from rserpool.model.addresses import Address, usable
from rserpool.protocol.actions import Level
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.access import Right
from rserpool.protocol.registrar.actions import Action, Update
from rserpool.protocol.registrar.asap.answers import because
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.checksum_audit import ChecksumAudit
from rserpool.protocol.registrar.enrp.connector import Connector
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.handle_tables import HandleTables
from rserpool.protocol.registrar.enrp.handle_updates import HandleUpdates
from rserpool.protocol.registrar.enrp.heartbeat import Heartbeat
from rserpool.protocol.registrar.enrp.identities import Identities
from rserpool.protocol.registrar.enrp.lists import Lists
from rserpool.protocol.registrar.enrp.mentor import Startup
from rserpool.protocol.registrar.enrp.peering import Peering
from rserpool.protocol.registrar.enrp.peers import EnrpLink, Event
from rserpool.protocol.registrar.enrp.places import Place, same_place
from rserpool.protocol.registrar.enrp.takeover import Takeovers


class EnrpRegistrar:
    """One registrar among its peers. Times are integer microseconds; every event returns the actions to carry out, in
    order."""

    def __init__(self, shared: RegistrarContext, elements: Elements, static_peers: tuple[Place, ...]) -> None:
        context = self._context = EnrpContext(shared, static_peers)
        self._access = shared.access
        self.peers = context.peers
        self.links = context.links
        self.connector = Connector(context)
        self.peering = Peering(context, self.connector)
        self.startup = Startup(context, self.connector)
        self.lists = Lists(context, self.connector, self.startup)
        self.identities = Identities(context, self.lists)
        self.updates = HandleUpdates(context, elements)
        self.tables = HandleTables(context, elements, self.updates, self.startup)
        self._audit = ChecksumAudit(context, self.tables)
        self.takeovers = Takeovers(context, self.peering, self.tables, elements)
        self.heartbeat = Heartbeat(context, self.connector, self.lists, self.peering)
        self.peering.add_reactions(self.takeovers.reactions)
        self.handlers: dict[type[EnrpMessage], Callable[[EnrpLink, Any, int], None]] = {
            Presence: self.on_presence,
            HandleTableRequest: self.tables.on_handle_table_request,
            HandleTableResponse: self.tables.on_handle_table_response,
            HandleUpdate: self.updates.on_handle_update,
            ListRequest: self.lists.on_list_request,
            ListResponse: self.lists.on_list_response,
            InitTakeover: self.takeovers.on_init_takeover,
            InitTakeoverAck: self.takeovers.on_init_takeover_ack,
            TakeoverServer: self.takeovers.on_takeover_server,
        }
        """By message, except EnrpError, which needs no peer."""

    # Events

    def start(self, addresses: tuple[Address, ...], port: int, now: int) -> list[Action]:
        """Start, with the ENRP endpoint at these addresses."""
        self._context.place = (usable(addresses, self._context.settings.address_scope), port)
        self.startup.begin(now)
        self.heartbeat.run(now)
        return self._context.take_actions()

    def associated(self, number: int, remote: Peer, now: int) -> list[Action]:
        """An association of the ENRP endpoint came up. If this registrar opened it, it sends the first presence."""
        context = self._context
        opened_here = self.connector.opened(remote)
        link = EnrpLink(number, remote, opened_here=opened_here)
        if not self._access.may(remote.principal, Right.PEER, b""):
            context.counters.count(Count.PEERS_REFUSED)
            text = f"{remote} ({remote.principal}) may not be a peer registrar: aborted"
            context.note(Level.WARNING, f"{remote} rights", text)
            context.abort(link)
            return context.take_actions()
        context.links[number] = link
        if opened_here:
            context.send(link, context.presence(TO_ALL, reply_required=True))
            self.startup.met(link, now)
        return context.take_actions()

    def unreachable(self, place: Place, now: int) -> list[Action]:
        """An association could not be opened."""
        self.connector.ended(place)
        for peer in tuple(self.peers.values()):
            if peer.link is None and same_place((peer.addresses, peer.port), place):
                self.peering.feed(peer, Event.UNREACHABLE, now)
        return self._context.take_actions()

    def lost(self, number: int, now: int) -> list[Action]:
        """An association of the ENRP endpoint ended."""
        link = self.links.pop(number, None)
        if link is not None:
            self.tables.cancel_upload(link)
            self.startup.lost(link, now)
            peer = link.peer
            if peer is not None and peer.link is link:
                peer.link = None
                self.tables.cancel_download(peer)
                self.peering.feed(peer, Event.UNREACHABLE, now)
        return self._context.take_actions()

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message with the ENRP payload protocol identifier arrived."""
        link = self.links.get(number)
        if link is not None and data:
            self._receive(link, data, now)
        return self._context.take_actions()

    def presence_heard(self, data: bytes, address: Address, port: int, now: int) -> list[Action]:
        """A presence arrived by multicast. It is a hint only: open an association if its sender is unknown."""
        context = self._context
        try:
            message = decode(data, "enrp")
        except RemoteProtocolError:
            context.counters.count(Count.MALFORMED_ANNOUNCEMENTS)
            return []
        if not isinstance(message, Presence) or message.sender_identifier == 0:
            return []
        if message.sender_identifier == context.identifier:
            self.identities.check_duplicate(address)
        elif message.sender_identifier not in self.peers and len(self.peers) < context.settings.limits.peers:
            information = message.server_information
            self.connector.connect(((address,), information.transport.port if information is not None else port), now)
        return context.take_actions()

    def send_update(self, update: Update) -> list[Action]:
        """Expand a change of an element of ours into handle updates to the peers."""
        self.updates.send_all(update)
        return self._context.take_actions()

    # Messages

    def _receive(self, link: EnrpLink, data: bytes, now: int) -> None:
        """Dispatch a message. Ordinary updates and tables are merged without decoding their elements."""
        if message_type(data) == HandleUpdate.TYPE and self.updates.merge(link, data, now):
            assert link.peer is not None
            self.peering.heard(link.peer, now)
            return
        ordinary = ordinary_table(data)
        try:
            message = decode_handle_table_head(data) if ordinary else decode(data, "enrp")
        except RemoteProtocolError as error:
            self._on_malformed(link, error, now)
            return
        assert isinstance(message, EnrpMessage)
        if isinstance(message, EnrpError):
            self.on_error(link, message)
            return
        if not self.identities.identify(link, message, now):
            return
        assert link.peer is not None
        self.peering.heard(link.peer, now)
        if ordinary:
            assert isinstance(message, HandleTableResponse)
            self.tables.on_handle_table_response(link, message, now, data)
        else:
            self.handlers[type(message)](link, message, now)
        if message.unrecognized:
            causes = (ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=tlv) for tlv in message.unrecognized)
            self._context.report(link, causes, now)

    def _on_malformed(self, link: EnrpLink, error: RemoteProtocolError, now: int) -> None:
        context = self._context
        context.counters.count(Count.MALFORMED)
        text = f"{link.remote} sent a malformed message: {error}"
        context.note(Level.WARNING, f"{link.remote} malformed", text)
        if error.report:
            context.report(link, (because(error.cause, error.information),), now)

    def on_error(self, link: EnrpLink, message: EnrpError) -> None:
        """ENRP_ERROR: note it and do nothing. It does not make its sender a peer."""
        self._context.counters.count(Count.ERRORS_RECEIVED)
        self._context.note(Level.INFO, f"{link.remote} error", f"{link.remote} reports {message.operation_error}")

    def on_presence(self, link: EnrpLink, message: Presence, now: int) -> None:
        """ENRP_PRESENCE (RFC 5353 3.4.2, 3.6): answer if asked to, and compare the checksum."""
        context = self._context
        peer = link.peer
        assert peer is not None
        information = message.server_information
        if information is not None:
            if information.server_identifier != peer.identifier:
                context.counters.count(Count.MALFORMED)
                text = f"{link.remote} sent the server information of another registrar"
                context.note(Level.WARNING, f"{link.remote} malformed", text)
                return
            announced = usable(information.transport.addresses, context.settings.address_scope)
            own = tuple(address for address in announced if address in link.remote.addresses)
            peer.addresses, peer.port = own or link.remote.addresses, information.transport.port
        if message.reply_required:
            context.send(link, context.presence(peer.identifier))
        self.startup.met(link, now)
        if message.pe_checksum is not None:
            peer.checksum = message.pe_checksum
            if not self.takeovers.hands_over_to(peer.identifier):
                self._audit.audit(peer, message.pe_checksum, now)
