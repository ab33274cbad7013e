"""Compares the checksum in each peer's presence with ours, and repairs differences by a download (RFC 5353 3.6.1)."""

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.enrp.context import EnrpContext
from rserpool.protocol.registrar.enrp.handle_tables import HandleTables
from rserpool.protocol.registrar.enrp.peers import PeerRegistrar

FIRST_PAUSE = 1.0
"""Seconds between two downloads of a table whose checksum still differs; each further pause is twice as long."""
FULL_AUDIT = 3600.0
"""Seconds after which a table is downloaded even if its checksum does not differ: 16 bits do not show every change."""


class ChecksumAudit:
    """Decides when to download a peer's own elements."""

    def __init__(self, context: EnrpContext, tables: HandleTables) -> None:
        self._context = context
        self._tables = tables

    def audit(self, peer: PeerRegistrar, checksum: int, now: int) -> None:
        """Download a peer's own elements if the checksum in its presence differs from our checksum of them (RFC 5353
        3.6.1).

        If a difference persists, the pauses between downloads grow. After a new association, and once an hour, elements
        are downloaded in any case: a lost update may have changed what the checksum does not show."""
        context = self._context
        if not context.started or self._tables.downloading(peer) or peer.link is None:
            return
        if now >= peer.next_audit:
            known = context.handlespace.home_size(peer.identifier) > 0
            peer.must_download = peer.must_download or (peer.next_audit > 0 and known)
            peer.next_audit = now + round(FULL_AUDIT * MICROSECONDS)
        if context.handlespace.checksum(peer.identifier) == checksum and not peer.must_download:
            peer.mismatches = 0
            peer.next_download = 0
            return
        if now < peer.next_download:
            return
        peer.must_download = False
        peer.mismatches += 1
        if peer.mismatches > 1:
            text = f"the checksum of {peer} differs for the {peer.mismatches}th time in a row"
            context.note(Level.WARNING, f"{peer} checksum", text)
        longest = context.settings.limits.resynchronisation_pause
        pause = min(FIRST_PAUSE * 2 ** min(peer.mismatches - 1, 30), longest)
        peer.next_download = now + round(pause * MICROSECONDS)
        self._tables.download(peer, now)
