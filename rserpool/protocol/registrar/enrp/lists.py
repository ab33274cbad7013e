"""Exchanges the lists of registrars (RFC 5353 3.2.2)."""

from rserpool.messages import ListRequest, ListResponse, SCTPTransport, ServerInformation
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.connector import Connector
from rserpool.protocol.registrar.enrp.context import EnrpContext
from rserpool.protocol.registrar.enrp.mentor import Startup
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar


class Lists:
    """Both sides of the exchange."""

    def __init__(self, context: EnrpContext, connector: Connector, startup: Startup) -> None:
        self._context = context
        self._connector = connector
        self._startup = startup

    def on_list_request(self, link: EnrpLink, message: ListRequest, now: int) -> None:
        """ENRP_LIST_REQUEST: answer with our peers."""
        self.send(link, message.sender_identifier)

    def send(self, link: EnrpLink, receiver: int) -> None:
        """Send our list of peers, or refuse while this registrar is starting."""
        context = self._context
        servers = tuple(
            ServerInformation(
                server_identifier=peer.identifier, transport=SCTPTransport(port=peer.port, addresses=peer.addresses)
            )
            for _, peer in sorted(context.peers.items())
            if peer.addresses
        )
        context.send(
            link,
            ListResponse(
                sender_identifier=context.identifier,
                receiver_identifier=receiver,
                reject=not context.started,
                servers=servers if context.started else (),
            ),
        )

    def request(self, peer: PeerRegistrar) -> None:
        """Ask a peer for its list, if it has an association."""
        context = self._context
        if peer.link is not None:
            peer.link.list_requested = True
            request = ListRequest(sender_identifier=context.identifier, receiver_identifier=peer.identifier)
            context.send(peer.link, request)

    def on_list_response(self, link: EnrpLink, message: ListResponse, now: int) -> None:
        """ENRP_LIST_RESPONSE: open associations to unknown registrars. A peer that refuses is asked again later."""
        if self._startup.expects_list(link):
            self._startup.on_list(message, now)
        elif link.list_requested:
            link.list_requested = False
            self._connector.connect_to_unknown(message.servers, now)
        else:
            self._context.counters.count(Count.UNEXPECTED_RESPONSES)
