"""What the registrar's instruments are told of: messages and sizes. None of them changes what the registrar does."""

import enum
from dataclasses import dataclass
from typing import Protocol as Typed

from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Protocol


class Channel(enum.StrEnum):
    """What carries a message, under the name that rsplib's action log gives it."""

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
    """Is told of every message as it is on the wire, after it was sent and before it is dealt with."""

    def sent(self, channel: Channel, data: bytes) -> None:
        """A message was handed to the transport: one for each association, one for all groups."""

    def received(self, channel: Channel, data: bytes) -> None:
        """A message with the channel's own payload protocol identifier arrived. It may be malformed."""

    def settled(self) -> None:
        """An event has been dealt with; the sizes may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much the registrar holds at this moment."""

    peers: int
    pools: int
    elements: int
    owned: int
    """The pool elements whose home this registrar is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the registrar has done since its start."""

    registrations: int
    """Those that were accepted, re-registrations included."""
    reregistrations: int
    deregistrations: int
    handle_resolutions: int
    failure_reports: int
    keep_alives: int
