"""Handle tables: answers the peers' downloads, and downloads a peer's own elements (RFC 5353 3.2.3, 3.6.3)."""

from dataclasses import dataclass
from functools import partial

from rserpool._fast.base.wheel import Entry
from rserpool.messages import HandleTableRequest, HandleTableResponse, PoolElement, encode_handle_table_response
from rserpool.protocol.actions import Level, Send
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.context import EnrpContext
from rserpool.protocol.registrar.enrp.handle_updates import HandleUpdates
from rserpool.protocol.registrar.enrp.mentor import Startup
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar, Upload

PART = 16_384
"""Octets of pool entries in one response: some 200 elements, so that no response delays what follows it for long.
10 000 elements are downloaded over loopback in 10 ms by parts of this size and in 28 ms by parts of 60 000 octets,
which exceed SCTP's first congestion window. rsplib's registrars send 1 400 octets, but accept this size."""
ALARM = 10
"""The smallest number of elements lost by one download that may raise an alarm."""


@dataclass(slots=True, eq=False)
class Download:
    """One download of a peer's own elements: mark those that are known, request the table, sweep the marked ones."""

    timer: Entry | None = None
    requested: bool = False
    """True while a response is expected."""
    responses: int = 0
    swept: int = 0
    """Elements that were swept."""


class HandleTables:
    """Both sides of the handle table transfer."""

    def __init__(self, context: EnrpContext, elements: Elements, updates: HandleUpdates, startup: Startup) -> None:
        self._context = context
        self._elements = elements
        self._updates = updates
        self._startup = startup
        self._downloads: dict[int, Download] = {}

    # Ours, to a peer

    def on_handle_table_request(self, link: EnrpLink, message: HandleTableRequest, now: int) -> None:
        """ENRP_HANDLE_TABLE_REQUEST: send our table or its next part, or refuse while this registrar is starting."""
        context = self._context
        context.counters.count(Count.TABLE_REQUESTS)
        if not context.started:
            self._respond(link, b"", reject=True)
            return
        upload = self.cancel_upload(link)
        position = upload.position if upload is not None and upload.own_only == message.own_only else None
        entries, position = context.handlespace.table(
            message.own_only, position, PART, context.settings.max_table_elements
        )
        if position is not None:
            patience = 2 * context.settings.max_time_no_response
            timer = context.arm(patience, partial(self._upload_abandoned, link), now)
            link.upload = Upload(message.own_only, position, timer)
        self._respond(link, entries, more=position is not None)

    def cancel_upload(self, link: EnrpLink) -> Upload | None:
        """End the upload over an association, if there is one, and return it."""
        upload, link.upload = link.upload, None
        if upload is not None:
            self._context.disarm(upload.timer)
        return upload

    def _upload_abandoned(self, link: EnrpLink, now: int) -> None:
        link.upload = None

    def _respond(self, link: EnrpLink, entries: bytes, *, reject: bool = False, more: bool = False) -> None:
        assert link.peer is not None
        response = encode_handle_table_response(
            sender_identifier=self._context.identifier,
            receiver_identifier=link.peer.identifier,
            reject=reject,
            more=more,
            entries=entries,
        )
        self._context.actions.append(Send(link.number, response))

    # Theirs, to us

    def downloading(self, peer: PeerRegistrar) -> bool:
        """True during a download of the peer's own elements."""
        return peer.identifier in self._downloads

    def download(self, peer: PeerRegistrar, now: int) -> None:
        """Download a peer's own elements."""
        self._context.counters.count(Count.SYNCHRONISATIONS)
        download = self._downloads[peer.identifier] = Download()
        self._mark(peer, download, None, now)

    def _mark(self, peer: PeerRegistrar, download: Download, position: tuple[int, int] | None, now: int) -> None:
        """Mark a slice of the peer's elements. Marks that remain after the download show which elements are gone."""
        context = self._context
        position = context.handlespace.mark_home(peer.identifier, position, context.slices.audited)
        if position is not None:
            download.timer = context.arm(context.slices.pause, partial(self._mark, peer, download, position), now)
            return
        download.requested = True
        download.timer = self._request(peer, now)

    def _request(self, peer: PeerRegistrar, now: int) -> Entry:
        context = self._context
        assert peer.link is not None
        request = HandleTableRequest(
            sender_identifier=context.identifier, receiver_identifier=peer.identifier, own_only=True
        )
        context.send(peer.link, request)
        return context.arm(context.settings.max_time_no_response, partial(self._response_missing, peer), now)

    def _response_missing(self, peer: PeerRegistrar, now: int) -> None:
        self.cancel_download(peer)

    def on_handle_table_response(
        self, link: EnrpLink, message: HandleTableResponse, now: int, octets: bytes = b""
    ) -> None:
        """ENRP_HANDLE_TABLE_RESPONSE: it comes from the mentor, or answers the request of a download. ``octets`` is the
        raw message where its entries can be merged without decoding; ``message`` then has no pool entries."""
        peer = link.peer
        assert peer is not None
        download = self._downloads.get(peer.identifier)
        from_mentor = self._startup.expects_table(link)
        if not from_mentor and (download is None or not download.requested):
            self._context.counters.count(Count.UNEXPECTED_RESPONSES)
            return
        if not message.reject:
            self._merge(peer, message, octets, now, everything=from_mentor)
        if from_mentor:
            self._startup.on_table(message, now)
        elif download is not None:
            self._go_on(peer, download, message, now)

    def _go_on(self, peer: PeerRegistrar, download: Download, message: HandleTableResponse, now: int) -> None:
        """Request the next part, or sweep after the last one."""
        self._context.disarm(download.timer)
        download.responses += 1
        endless = message.more and download.responses >= self._context.settings.limits.table_responses
        if message.reject or endless:
            self.cancel_download(peer)
        elif message.more:
            download.timer = self._request(peer, now)
        else:
            download.requested = False
            self._sweep(peer, download, None, now)

    def _merge(
        self, peer: PeerRegistrar, message: HandleTableResponse, octets: bytes, now: int, *, everything: bool
    ) -> None:
        """Store the peer's own elements; with ``everything`` the mentor's whole table, except our own elements and
        those already learnt from their home."""

        def merge(handle: bytes, element: PoolElement) -> None:
            self._merge_element(peer, handle, element, now, everything=everything)

        if octets:
            self._updates.merger.table(octets, peer.identifier, everything, now, merge)
        for entry in message.pool_entries:
            for element in entry.pool_elements:
                merge(entry.pool_handle, element)

    def _merge_element(
        self, peer: PeerRegistrar, handle: bytes, element: PoolElement, now: int, *, everything: bool
    ) -> None:
        context = self._context
        home = element.home_identifier
        if home != peer.identifier and not (everything and home not in (0, context.identifier)):
            context.counters.count(Count.FOREIGN_ENTRIES)
            return
        known = context.handlespace.find(handle, element.identifier)
        if home == peer.identifier or known is None or known.home_identifier != home:
            self._updates.store(peer, handle, element, now)

    def _sweep(self, peer: PeerRegistrar, download: Download, position: tuple[int, int] | None, now: int) -> None:
        """Remove a slice of the elements that a complete download does not contain (RFC 5353 3.6.3). A peer may give up
        its own elements, but an operator should know if most of them disappear at once."""
        context = self._context
        swept, position = context.handlespace.sweep_marked(peer.identifier, position, context.slices.audited)
        for name in swept:
            self._elements.swept(name, now)
        download.swept += len(swept)
        if position is not None:
            download.timer = context.arm(context.slices.pause, partial(self._sweep, peer, download, position), now)
            return
        del self._downloads[peer.identifier]
        if download.swept >= ALARM and download.swept > context.handlespace.home_size(peer.identifier):
            context.counters.count(Count.TABLES_SHRUNK)
            text = f"{peer} no longer has {download.swept} of its elements, more than remain: they are removed"
            context.note(Level.ERROR, f"{peer} sweep", text)

    def cancel_download(self, peer: PeerRegistrar) -> None:
        """End the download of a peer's elements, if there is one. The next download marks them again."""
        download = self._downloads.pop(peer.identifier, None)
        if download is not None:
            self._context.disarm(download.timer)
