"""Whose an element is when registrars disagree: after takeovers, and when an element moves (RFC 5353 3.3, 3.5).

The element itself decides, by what it says over its association. Peers are told of an element that was taken over when
it has answered. An element that is associated here is not given up because a peer claims it: it is asked; if it
answers, it stays; if it does not, or its association ends, it is the claimant's.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.views import PoolElementView
from rserpool._fast.lane.takeover import home_keep_alives, start_answer_timers
from rserpool.messages import decode_transport
from rserpool.model.addresses import Address, plain
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import Action, Connect, Protocol, SendRow
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.slices import Slices

if TYPE_CHECKING:
    from rserpool.protocol.registrar.asap.dispatch import AsapRegistrar

ADOPTION = 3
"""Keep-alive time-outs within which an element that was taken over must acknowledge: it has to be called first."""

Name = tuple[bytes, int]
"""Pool handle and PE identifier."""
Place = tuple[tuple[Address, ...], int]
"""Addresses and port at which elements are reached."""


@dataclass(slots=True)
class Call:
    """Elements that were taken over, at one place with which there is no association yet."""

    names: list[Name]
    out: bool = False
    """Whether it has been called."""


class Custody:
    """Elements whose home is not certain yet."""

    def __init__(self, asap: "AsapRegistrar", wheel: Wheel, slices: Slices) -> None:
        limits = asap.settings.limits
        self._asap = asap
        self._wheel = wheel
        self._slices = slices
        self._places: dict[tuple[Address, int], int] = {}
        self._calls: dict[Place, Call] = {}
        self._places_at: dict[tuple[Address, int], list[Place]] = {}
        """By each of their addresses, the places of calls."""
        self._to_call: deque[Place] = deque()
        self._rate = Bucket(limits.takeover_calls, limits.takeover_calls_burst, 0)
        self._waiting = False
        self._to_greet: deque[tuple[int, list[Name]]] = deque()
        """Association numbers, and elements that are there."""
        self._greeting = False
        self._telling = False
        self.unconfirmed: set[Name] = set()
        self.claims: dict[Name, tuple[int, bytes]] = {}
        """These two are emptied, never replaced: lanes look at them."""

    # Associations

    def arrived(self, known: Association, now: int) -> list[Action]:
        """An association came up: elements that were taken over may be at its other end, but not of a user's TCP
        connection, whose port may be the same."""
        if not known.peer.sctp:
            return []
        port = known.peer.port
        self._places.update(((address, port), known.number) for address in known.hosts)
        actions: list[Action] = []
        if self._calls:
            for address in map(plain, known.peer.addresses):
                for place in tuple(self._places_at.get((address, port), ())):
                    self._to_greet.append((known.number, self._called(place)))
            actions += self._greet(now)
        return actions

    def departed(self, gone: Association) -> None:
        """An association ended."""
        for address in gone.hosts:
            if self._places.get((address, gone.peer.port)) == gone.number:
                del self._places[address, gone.peer.port]

    # Takeover

    def adopt(self, found: dict[bytes, list[Name]], now: int) -> list[Action]:
        """This registrar has taken elements over, by their ASAP transports: tell them by keep-alives with H=1 over the
        association to there, if there is one or can be (RFC 5353 3.5.2). They must acknowledge in time."""
        asap = self._asap
        for parameter, names in found.items():
            transport = decode_transport(parameter)
            self.unconfirmed.update(names)
            asap.changed_among(names, now)
            numbers = (self._places.get((address, transport.port)) for address in transport.addresses)
            number = next((number for number in numbers if number is not None), None)
            if number is not None:
                self._to_greet.append((number, names))
            else:
                self._enlist((transport.addresses, transport.port), names, now)
        if not self._telling:
            self._telling = True
            self._wheel.insert(now + round(self._slices.confirmed_pause * MICROSECONDS), self._tell_due)
        return [*self._greet(now), *self._call(now)]

    def _tell_due(self, now: int) -> list[Action]:
        """Peers hear of the elements that have answered over the fast lane."""
        asap = self._asap
        actions = asap.renewed(now, self._slices.confirmed)
        self._telling = bool(self.unconfirmed or asap.handlespace.updated)
        if self._telling:
            pause = self._slices.pause if asap.handlespace.updated else self._slices.confirmed_pause
            self._wheel.insert(now + round(pause * MICROSECONDS), self._tell_due)
        return actions

    def _enlist(self, place: Place, names: list[Name], now: int) -> None:
        """A place is to be called, or these elements are at one that is."""
        call = self._calls.get(place)
        if call is None:
            self._calls[place] = Call(names)
            for address in place[0]:
                self._places_at.setdefault((address, place[1]), []).append(place)
            self._to_call.append(place)
            return
        call.names += names
        if call.out:
            start_answer_timers(self._asap.handlespace, names, now + ADOPTION * self._asap.timeout)

    def _called(self, place: Place) -> list[Name]:
        """The call to a place is over, one way or the other; its elements."""
        call = self._calls.pop(place, None)
        if call is None:
            return []
        for address in place[0]:
            places = self._places_at[address, place[1]]
            places.remove(place)
            if not places:
                del self._places_at[address, place[1]]
        return call.names

    def _call(self, now: int) -> list[Action]:
        """Call as many places as the rate allows, and the rest soon."""
        actions: list[Action] = []
        if self._waiting:
            return actions
        deadline = now + ADOPTION * self._asap.timeout
        pause = self._slices.pause
        while self._to_call and len(actions) < self._slices.connects:
            call = self._calls.get(self._to_call[0])
            if call is not None and not self._rate.take(now):
                pause = self._slices.connect_retry
                break
            place = self._to_call.popleft()
            if call is None:
                continue
            call.out = True
            if start_answer_timers(self._asap.handlespace, call.names, deadline):
                actions.append(Connect(Protocol.ASAP, *place))
            else:
                self._called(place)
        if self._to_call:
            self._waiting = True
            self._wheel.insert(now + round(pause * MICROSECONDS), self._call_due)
        return actions

    def _call_due(self, now: int) -> list[Action]:
        self._waiting = False
        return self._call(now)

    def _greet(self, now: int) -> list[Action]:
        """Send the keep-alives that are due, so many at a time that nobody else waits for long."""
        actions: list[Action] = []
        if self._greeting:
            return actions
        most = room = self._slices.keep_alives
        while self._to_greet and room > 0:
            number, names = self._to_greet.popleft()
            if len(names) > most:
                self._to_greet.appendleft((number, names[most:]))
            actions += self._keep_alives(number, names[:most], now)
            room -= len(names)
        if room < most:
            self._greeting = True
            self._wheel.insert(now + round(self._slices.pause * MICROSECONDS), self._greet_due)
        return actions

    def _greet_due(self, now: int) -> list[Action]:
        self._greeting = False
        return self._greet(now)

    def _keep_alives(self, number: int, names: list[Name], now: int) -> list[Action]:
        """Keep-alives with H=1 over an association. Where it has ended since, the elements have their time to call."""
        asap = self._asap
        deadline = now + ADOPTION * asap.timeout
        peer = asap.associations.get(number)
        if peer is None:
            start_answer_timers(asap.handlespace, names, deadline)
            return []
        messages, joined = home_keep_alives(asap.handlespace, names, number, deadline)
        peer.registrant.elements += joined
        asap.counters["keep-alives"] += len(messages)
        return [SendRow(number, messages)] if messages else []

    def unreachable(self, addresses: tuple[Address, ...], port: int) -> list[Name]:
        """An association to elements that were taken over could not be opened; those of them that are still waited
        for."""
        asap = self._asap
        gone = []
        for handle, identifier in self._called((addresses, port)):
            view = asap.handlespace.find(handle, identifier)
            if view is not None and view.home_identifier == asap.settings.identifier and not view.connection:
                gone.append((handle, identifier))
        return gone

    # Claims

    def contests(self, view: PoolElementView) -> bool:
        """Whether a peer's claim on this element is not just believed: it is ours, and has an association here to be
        asked over. One that was taken over is asked already: its answer to the keep-alive with H=1 decides."""
        return view.home_identifier == self._asap.settings.identifier and view.connection != 0

    def claim(self, view: PoolElementView, claimant: int, parameter: bytes) -> None:
        """A peer says that an element of ours is its; the element is to be asked."""
        self.claims[view.pool_handle, view.identifier] = (claimant, parameter)

    def withdraw(self, handle: bytes, identifier: int, claimant: int) -> None:
        """The claimant says that the element is gone: so is its claim."""
        if self.claims.get((handle, identifier), (0, b""))[0] == claimant:
            del self.claims[handle, identifier]

    def heir(self, handle: bytes, identifier: int) -> tuple[int, bytes] | None:
        """Whose an element is that this registrar loses, with its Pool Element parameter there; None if nobody's."""
        self.unconfirmed.discard((handle, identifier))
        return self.claims.pop((handle, identifier), None)

    def settled(self, handle: bytes, identifier: int) -> bool:
        """The element has answered or registered here: it is ours. Whether that was in question."""
        name = (handle, identifier)
        questioned = name in self.unconfirmed or name in self.claims
        self.unconfirmed.discard(name)
        self.claims.pop(name, None)
        return questioned
