"""Sends keep-alives with H=0 to our pool elements: in turn, and out of turn after a report or a peer's claim."""

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.lane.keep_alive import probe
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.ownership import ElementName

BURST = 3
"""The largest number of keep-alives out of turn that an element gets in a row. Otherwise reports and claims could
flood it."""


class KeepAlives:
    """Sends keep-alives, and limits the rate of those out of turn for each element."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self._rates: dict[ElementName, Bucket] = {}

    def send(self, handle: bytes, identifier: int, now: int, *, again: bool = False) -> list[Action]:
        """Send a keep-alive, to be acknowledged within the time-out. Send nothing if the element is not ours, has no
        association, or has not acknowledged the last one yet. With ``again`` an unacknowledged keep-alive is sent
        again, but the deadline stays."""
        deadline = now + self._context.keep_alive_timeout
        message = probe(self._context.handlespace, handle, identifier, deadline, again)
        if message is None:
            return []
        self._context.counters.count(Count.KEEP_ALIVES)
        return [Send(*message)]

    def send_out_of_turn(self, handle: bytes, identifier: int, now: int) -> list[Action]:
        """Send a keep-alive now, unless the element has got as many out of turn as its rate allows."""
        rate = self._rates.get((handle, identifier))
        if rate is None:
            interval = self._context.settings.limits.probe_interval
            rate = self._rates[handle, identifier] = Bucket(1 / interval, BURST, now)
        return self.send(handle, identifier, now, again=True) if rate.take(now) else []

    def forget(self, name: ElementName) -> None:
        """The element was removed, or has another home."""
        self._rates.pop(name, None)
