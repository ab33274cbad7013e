"""Wire-level observers of the readable way.

The messages that a fast lane serves never reach an observer: for these a Journal (_fast/lane/journal.pyx) writes the
action log, and LaneCounters count.
"""

import enum
from typing import Protocol as Typed

from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Protocol


class Channel(enum.StrEnum):
    """The channel of a message, as rsplib's action log names it."""

    ASAP = "ASAP"
    ENRP = "ENRP"
    MULTICAST_ASAP = "MulticastASAP"
    MULTICAST_ENRP = "MulticastENRP"


UNICAST: dict[Protocol | None, Channel] = {Protocol.ASAP: Channel.ASAP, Protocol.ENRP: Channel.ENRP}
MULTICAST: dict[type[Action], Channel] = {
    Announce: Channel.MULTICAST_ASAP,
    AnnouncePresence: Channel.MULTICAST_ENRP,
}


class Observer(Typed):
    """Callbacks for each message of the readable way as it is on the wire, after sending and before handling."""

    def sent(self, channel: Channel, data: bytes) -> None:
        """A message was handed to the transport: one for each association, one for all groups."""

    def received(self, channel: Channel, data: bytes) -> None:
        """A message with the channel's own payload protocol identifier arrived. It may be malformed."""
