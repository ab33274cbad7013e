"""Turns changes of pool elements into updates for peer registrars and notifications for subscribers."""

from collections.abc import Iterable

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import Action, Update
from rserpool.protocol.registrar.asap.coalescing import Coalescing
from rserpool.protocol.registrar.asap.subscriptions import Subscriptions
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.ownership import ElementName


class Updates:
    """A change goes in; Update actions for peers come out. Subscribers get theirs later, from a timer."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self.subscriptions = Subscriptions(context)
        window = context.settings.peer_update_window * MICROSECONDS
        self._coalescing = Coalescing(context.wheel, window, self._update)

    def refresh(self) -> None:
        """Let fast lanes record renewals just as long as a peer or a subscriber wants to know of them."""
        self._context.handlespace.record_renewals = bool(self._context.peers or self.subscriptions.watchers)

    # Own elements

    def registered(self, name: ElementName, now: int, *, renewal: bool) -> list[Action]:
        """An element registered here. The update for a re-registration may wait for the end of a window."""
        self.subscriptions.changed(name[0], now)
        if not renewal:
            self._coalescing.forget(name)
        return [] if self._coalescing.waits(name, now) else self._update(name)

    def confirmed(self, name: ElementName) -> list[Action]:
        """An element that was taken over, or claimed by a peer, has answered here."""
        return self._update(name)

    def renewed(self, now: int, most: int | None = None) -> list[Action]:
        """Turn registrations by the fast lane into updates for peers and subscribers; at most ``most`` of them. Call
        before the answers are sent."""
        actions: list[Action] = []
        names = self._context.handlespace.updated
        if not names:
            return actions
        linked = self._context.has_linked_peers()
        if linked or self.subscriptions.watchers:
            for name in names[:most]:
                if linked and not self._coalescing.waits(name, now):
                    actions += self._update(name)
                self.subscriptions.changed(name[0], now)
        del names[:most]
        return actions

    def removed(self, name: ElementName, parameter: bytes, now: int) -> list[Action]:
        """An element of ours was removed; ``parameter`` was its Pool Element parameter."""
        self._coalescing.forget(name)
        self.subscriptions.changed(name[0], now)
        return [Update(False, name[0], parameter)]

    def _update(self, name: ElementName) -> list[Action]:
        """The update on an element as it is now, if it is still ours."""
        view = self._context.handlespace.find(*name)
        if view is None or view.home_identifier != self._context.identifier:
            return []
        return [Update(True, name[0], view.parameter)]

    # Elements of any home

    def moved_away(self, name: ElementName) -> None:
        """An element has another home now: drop its pending update."""
        self._coalescing.forget(name)

    def pool_changed(self, handle: bytes, now: int) -> None:
        """Notify a pool's subscribers, after the update delay."""
        self.subscriptions.changed(handle, now)

    def pools_changed(self, names: Iterable[ElementName], now: int) -> None:
        """Notify the subscribers of these elements' pools."""
        if self.subscriptions.watchers:
            for handle in dict.fromkeys(handle for handle, _ in names):
                self.subscriptions.changed(handle, now)
