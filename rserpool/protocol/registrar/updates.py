"""Turns changes of pool elements into updates for peers, notifications for subscribers and events for watches."""

from collections.abc import Iterable

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import Action, Update
from rserpool.protocol.registrar.asap.coalescing import Coalescing
from rserpool.protocol.registrar.asap.subscriptions import Subscriptions
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.ownership import ElementName
from rserpool.protocol.registrar.watching import Reason


class Updates:
    """A change goes in; Update actions for peers come out. Subscribers get theirs later, from a timer; watches get
    their events at once."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self._handlespace = context.handlespace
        self._watching = context.watching
        self.subscriptions = Subscriptions(context)
        window = context.settings.peer_update_window * MICROSECONDS
        self._coalescing = Coalescing(context.wheel, window, self._update)

    def refresh(self) -> None:
        """Let fast lanes record renewals only while there is a peer, a subscriber or a watch."""
        context = self._context
        context.handlespace.record_renewals = bool(
            context.peers or self.subscriptions.watchers or self._watching.active
        )

    # Own elements

    def registered(self, name: ElementName, now: int, *, added: bool, renewal: bool) -> list[Action]:
        """An element registered here. It is ``added`` if it was unknown, and a ``renewal`` if it was ours already: then
        its update may wait for the end of a window."""
        self.stored(name, now, added=added)
        if not renewal:
            self._coalescing.forget(name)
        return [] if self._coalescing.waits(name, now) else self._update(name)

    def confirmed(self, name: ElementName) -> list[Action]:
        """An element that was taken over, or claimed by a peer, has answered here."""
        if self._watching.active:
            self._watching.stored(name, added=False)
        return self._update(name)

    def renewed(self, now: int, most: int | None = None) -> list[Action]:
        """Turn registrations by the fast lane into updates, notifications and events; at most ``most`` of them. Call
        before the answers are sent."""
        actions: list[Action] = []
        names = self._handlespace.updated
        if not names:
            return actions
        linked = self._context.has_linked_peers()
        watched, subscribed = self._watching.active, self.subscriptions.watchers
        if linked or watched or subscribed:
            for name in names[:most]:
                if watched:
                    self._watching.renewed(name)
                if linked and not self._coalescing.waits(name, now):
                    actions += self._update(name)
                if subscribed:
                    self.subscriptions.changed(name[0], now)
        del names[:most]
        return actions

    def removed(self, name: ElementName, parameter: bytes, reason: Reason, now: int) -> list[Action]:
        """An element of ours was removed; ``parameter`` was its Pool Element parameter."""
        self._coalescing.forget(name)
        self.discarded(name, reason, now)
        return [Update(False, name[0], parameter)]

    def _update(self, name: ElementName) -> list[Action]:
        """The update on an element as it is now, if it is still ours."""
        view = self._handlespace.find(*name)
        if view is None or view.home_identifier != self._context.identifier:
            return []
        return [Update(True, name[0], view.parameter)]

    # Elements of any home

    def moved_away(self, name: ElementName) -> None:
        """An element has another home now: drop its pending update."""
        self._coalescing.forget(name)

    def stored(self, name: ElementName, now: int, *, added: bool) -> None:
        """An element was added or changed."""
        self.subscriptions.changed(name[0], now)
        if self._watching.active:
            self._watching.stored(name, added=added)

    def discarded(self, name: ElementName, reason: Reason, now: int) -> None:
        """An element was removed."""
        self.subscriptions.changed(name[0], now)
        if self._watching.active:
            self._watching.removed(name, reason)

    def pools_changed(self, names: Iterable[ElementName], now: int) -> None:
        """Notify the subscribers of these elements' pools."""
        if self.subscriptions.watchers:
            for handle in dict.fromkeys(handle for handle, _ in names):
                self.subscriptions.changed(handle, now)
