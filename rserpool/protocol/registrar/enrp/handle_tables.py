"""Handle tables: what peers download here, and what is downloaded where checksums differ (RFC 5353 3.2.3, 3.6)."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rserpool._fast.base.wheel import Entry
from rserpool.messages import HandleTableRequest, HandleTableResponse, PoolElement
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Level, Send
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar, Upload

if TYPE_CHECKING:
    from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar

PART = 16_384
"""Octets of pool entries in one response: some 200 elements, so that no response holds up what follows it for long.
10 000 elements are downloaded over loopback in 10 ms by parts of this size and in 28 ms by parts of 60 000 octets, more
than SCTP has on its way at first. rsplib's registrars, which send 1 400 octets themselves, take parts of this size."""
FIRST_PAUSE = 1.0
"""Seconds between two downloads of a table whose checksum still differs; each further pause is twice as long."""
FULL_AUDIT = 3600.0
"""Seconds after which a table is downloaded although its checksum does not differ: 16 bits do not show everything."""
ALARM = 10
"""Elements; the smallest loss by one download that may be an alarm."""


@dataclass(slots=True, eq=False)
class Download:
    """One download of a peer's own elements: they are marked, asked for, and swept."""

    timer: Entry | None = None
    asked: bool = False
    """Whether a response is waited for."""
    responses: int = 0
    gone: int = 0
    """Elements that were swept."""


class Tables:
    """Both sides of the handle table transfer."""

    def __init__(self, enrp: "EnrpRegistrar") -> None:
        self._enrp = enrp
        self._downloads: dict[int, Download] = {}

    # Ours, to a peer

    def requested(self, link: EnrpLink, message: HandleTableRequest) -> None:
        """A peer asks for our table, or for its next part; refused while we are starting ourselves."""
        enrp = self._enrp
        enrp.counters.count(Count.TABLE_REQUESTS)
        if not enrp.startup.over:
            self._answer(link, b"", reject=True)
            return
        upload, link.upload = link.upload, None
        if upload is not None:
            enrp.disarm(upload.timer)
        position = upload.position if upload is not None and upload.own_only == message.own_only else None
        octets, position = enrp.handlespace.table(message.own_only, position, PART, enrp.settings.max_table_elements)
        if position is not None:
            timer = enrp.arm(2 * enrp.settings.max_time_no_response, partial(self._abandoned, link))
            link.upload = Upload(message.own_only, position, timer)
        self._answer(link, octets, more=position is not None)

    def _abandoned(self, link: EnrpLink) -> None:
        link.upload = None

    def _answer(self, link: EnrpLink, octets: bytes, *, reject: bool = False, more: bool = False) -> None:
        assert link.peer is not None
        head = HandleTableResponse(
            sender_identifier=self._enrp.identifier,
            receiver_identifier=link.peer.identifier,
            reject=reject,
            more=more,
        ).encode()
        length = (len(head) + len(octets)).to_bytes(2, "big")
        self._enrp.out.append(Send(link.number, head[:2] + length + head[4:] + octets))

    # Theirs, to us

    def compare(self, peer: PeerRegistrar, checksum: int) -> None:
        """A presence came with the peer's checksum: where ours of its elements differs, download them
        (RFC 5353 3.6.1). A mismatch that stays is looked at less and less often. After a new association, and once an
        hour, they are downloaded in any case: an update that was lost may have changed what no checksum shows."""
        enrp = self._enrp
        if not enrp.startup.over or peer.identifier in self._downloads or peer.link is None:
            return
        if enrp.takeovers.gives_to(peer.identifier):
            return
        if enrp.now >= peer.next_audit:
            peer.fresh = peer.fresh or (peer.next_audit > 0 and enrp.handlespace.home_size(peer.identifier) > 0)
            peer.next_audit = enrp.now + round(FULL_AUDIT * MICROSECONDS)
        if enrp.handlespace.checksum(peer.identifier) == checksum and not peer.fresh:
            peer.mismatches = 0
            peer.next_download = 0
            return
        if enrp.now < peer.next_download:
            return
        peer.fresh = False
        peer.mismatches += 1
        if peer.mismatches > 1:
            text = f"the checksum of {peer} differs for the {peer.mismatches}th time in a row"
            enrp.note(Level.WARNING, f"{peer} checksum", text)
        pause = min(FIRST_PAUSE * 2 ** min(peer.mismatches - 1, 30), enrp.settings.limits.resynchronisation_pause)
        peer.next_download = enrp.now + round(pause * MICROSECONDS)
        enrp.counters.count(Count.SYNCHRONISATIONS)
        download = self._downloads[peer.identifier] = Download()
        self._mark(peer, download, None)

    def _mark(self, peer: PeerRegistrar, download: Download, position: tuple[int, int] | None) -> None:
        """What the table does not name will go."""
        enrp = self._enrp
        position = enrp.handlespace.mark_home(peer.identifier, position, enrp.slices.audited)
        if position is not None:
            download.timer = enrp.arm(enrp.slices.pause, partial(self._mark, peer, download, position))
            return
        download.asked = True
        download.timer = self._ask(peer)

    def _ask(self, peer: PeerRegistrar) -> Entry:
        enrp = self._enrp
        assert peer.link is not None
        enrp.send(
            peer.link,
            HandleTableRequest(sender_identifier=enrp.identifier, receiver_identifier=peer.identifier, own_only=True),
        )
        return enrp.arm(enrp.settings.max_time_no_response, partial(self.interrupted, peer))

    def responded(self, link: EnrpLink, message: HandleTableResponse, entries: bytes = b"") -> None:
        """A part of a table that was asked for, of a mentor or of a peer's own elements; others are not asked for.
        ``entries`` is the whole message where it is ordinary: its record is without them then."""
        enrp = self._enrp
        peer = link.peer
        assert peer is not None
        download = self._downloads.get(peer.identifier)
        mentor = enrp.startup.is_mentor(link)
        if not mentor and (download is None or not download.asked):
            enrp.counters.count(Count.UNEXPECTED_RESPONSES)
            return
        if not message.reject:
            self._merge(peer, message, entries, everything=mentor)
        if mentor:
            enrp.startup.loaded(message)
            return
        assert download is not None
        enrp.disarm(download.timer)
        download.responses += 1
        if message.reject or (message.more and download.responses >= enrp.settings.limits.table_responses):
            self.interrupted(peer)
        elif message.more:
            download.timer = self._ask(peer)
        else:
            download.asked = False
            self._sweep(peer, download, None)

    def _merge(self, peer: PeerRegistrar, message: HandleTableResponse, entries: bytes, *, everything: bool) -> None:
        """Take the elements in: a mentor's whole table but for what is ours, and for what another home has told of its
        elements itself meanwhile; otherwise just the peer's own."""
        merge = partial(self._merge_one, peer, everything)
        if entries:
            self._enrp.mirror.merger.table(entries, peer.identifier, everything, self._enrp.now, merge)
        for entry in message.pool_entries:
            for element in entry.pool_elements:
                merge(entry.pool_handle, element)

    def _merge_one(self, peer: PeerRegistrar, everything: bool, handle: bytes, element: PoolElement) -> None:
        enrp = self._enrp
        home = element.home_identifier
        if home != peer.identifier and not (everything and home not in (0, enrp.identifier)):
            enrp.counters.count(Count.FOREIGN_ENTRIES)
        elif home == peer.identifier or not self._told(handle, element):
            enrp.mirror.store(peer, handle, element)

    def _told(self, handle: bytes, element: PoolElement) -> bool:
        """Whether an element is known from its home already."""
        known = self._enrp.handlespace.find(handle, element.identifier)
        return known is not None and known.home_identifier == element.home_identifier

    def _sweep(self, peer: PeerRegistrar, download: Download, position: tuple[int, int] | None) -> None:
        """The download is complete: what the peer did not name goes (RFC 5353 3.6.3). It may give up its own elements,
        but where most of them go at once that is for an operator to know."""
        enrp = self._enrp
        gone, position = enrp.handlespace.sweep_marked(peer.identifier, position, enrp.slices.audited)
        for handle, _ in gone:
            enrp.elements.pool_changed(handle, enrp.now)
        download.gone += len(gone)
        if position is not None:
            download.timer = enrp.arm(enrp.slices.pause, partial(self._sweep, peer, download, position))
            return
        del self._downloads[peer.identifier]
        if download.gone >= ALARM and download.gone > enrp.handlespace.home_size(peer.identifier):
            enrp.counters.count(Count.TABLES_SHRUNK)
            text = f"{peer} names no longer {download.gone} of its elements, more than remain: they are removed"
            enrp.note(Level.ERROR, f"{peer} sweep", text)

    def interrupted(self, peer: PeerRegistrar) -> None:
        """The download came to nothing: what is marked stays, and is marked anew before the next is swept."""
        download = self._downloads.pop(peer.identifier, None)
        if download is not None:
            self._enrp.disarm(download.timer)
