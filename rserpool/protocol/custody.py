"""Whose an element is when registrars disagree: after takeovers, and when an element moves (RFC 5353 3.3, 3.5).

The element itself decides, by what it says over its association. Peers are told of an element that was taken over when
it has answered. An element that is associated here is not given up because a peer claims it: it is asked; if it
answers, it stays; if it does not, or its association ends, it is the claimant's.
"""

from typing import TYPE_CHECKING

from rserpool._fast.handlespace import Timer
from rserpool._fast.views import PoolElementView
from rserpool.messages import EndpointKeepAlive, decode_transport
from rserpool.protocol.actions import Action, Connect, Protocol, Send
from rserpool.protocol.addresses import Address
from rserpool.protocol.association import Association

if TYPE_CHECKING:
    from rserpool.protocol.asap import AsapRegistrar

ADOPTION = 3
"""Keep-alive time-outs within which an element that was taken over must acknowledge: it has to be called first."""

Name = tuple[bytes, int]
"""Pool handle and PE identifier."""


class Custody:
    """Elements whose home is not certain yet."""

    def __init__(self, asap: "AsapRegistrar") -> None:
        self._asap = asap
        self._places: dict[tuple[Address, int], int] = {}
        self._waiting: dict[tuple[tuple[Address, ...], int], list[Name]] = {}
        self.unconfirmed: set[Name] = set()
        self.claims: dict[Name, tuple[int, bytes]] = {}
        """These two are emptied, never replaced: lanes look at them."""

    # Associations

    def arrived(self, known: Association) -> list[Action]:
        """An association came up: elements that were taken over may be at its other end."""
        port = known.peer.port
        self._places.update(((address, port), known.number) for address in known.hosts)
        actions: list[Action] = []
        for place in [place for place in self._waiting if place[1] == port and known.hosts & set(place[0])]:
            for handle, identifier in self._waiting.pop(place):
                actions += self._greet(known, handle, identifier)
        return actions

    def departed(self, gone: Association) -> None:
        """An association ended."""
        for address in gone.hosts:
            if self._places.get((address, gone.peer.port)) == gone.number:
                del self._places[address, gone.peer.port]

    # Takeover

    def adopt(self, handle: bytes, identifier: int, now: int) -> list[Action]:
        """This registrar has taken an element over: tell it by a keep-alive with H=1 to its ASAP transport, over the
        association there if there is one (RFC 5353 3.5.2). It must acknowledge in time."""
        asap = self._asap
        view = asap.handlespace.find(handle, identifier)
        if view is None or view.asap_transport is None:
            return []
        asap.changed(handle, now)
        transport = decode_transport(view.asap_transport)
        view.probed = True
        asap.handlespace.arm(handle, identifier, Timer.KEEP_ALIVE, now + ADOPTION * asap.timeout)
        self.unconfirmed.add((handle, identifier))
        for address in transport.addresses:
            number = self._places.get((address, transport.port))
            if number is not None:
                return self._greet(asap.associations[number], handle, identifier)
        place = (transport.addresses, transport.port)
        waiting = self._waiting.setdefault(place, [])
        waiting.append((handle, identifier))
        return [Connect(Protocol.ASAP, *place)] if len(waiting) == 1 else []

    def _greet(self, peer: Association, handle: bytes, identifier: int) -> list[Action]:
        asap = self._asap
        view = asap.handlespace.find(handle, identifier)
        if view is None or view.home_identifier != asap.settings.identifier or view.connection:
            return []
        view.set_connection(peer.number)
        peer.guest.elements += 1
        asap.counters["keep-alives"] += 1
        message = EndpointKeepAlive(
            home=True, server_identifier=asap.settings.identifier, pool_handle=handle, pe_identifier=identifier
        )
        return [Send(peer.number, message.encode())]

    def unreachable(self, addresses: tuple[Address, ...], port: int) -> list[Name]:
        """An association to elements that were taken over could not be opened; those of them that are still waited
        for."""
        asap = self._asap
        gone = []
        for handle, identifier in self._waiting.pop((addresses, port), []):
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
