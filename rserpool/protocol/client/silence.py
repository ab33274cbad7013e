"""Notices that a home registrar has fallen silent, long before SCTP does where nothing is on its way."""

import typing

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.timers import Timer

if typing.TYPE_CHECKING:
    from rserpool.protocol.client.node import Node

LEARNT = 3
"""Keep-alives after which the pace of a registrar is known."""
PATIENCE = 2.5
"""Times its longest pause between two keep-alives, for which it may be silent."""
FADING = 0.9
"""What is left of the longest pause at the next one: a registrar may change its pace."""
LEAST = MICROSECONDS


class Silence:
    """A registrar asks its elements for signs of life at its own pace (RFC 5352 3.5). When it no longer does, one
    element registers again: that is answered, or the registrar is left at T2."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._count = 0
        self._last = 0
        self._longest = 0
        self._alarm: Timer[None] | None = None

    def heard(self, now: int) -> None:
        """A keep-alive of the home registrar."""
        if self._count:
            self._longest = max(now - self._last, round(self._longest * FADING))
        self._count += 1
        self._last = now
        if self._count >= LEARNT:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = Timer(self._node.wheel, now + max(LEAST, round(PATIENCE * self._longest)), self._fell)

    def forget(self) -> None:
        """Another home, or none."""
        self._count = self._longest = 0
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _fell(self, now: int) -> None:
        self._count = 0
        self._node.probe(now)
