"""Answers handle resolutions (RFC 5352 3.3)."""

from rserpool.messages import HandleResolution
from rserpool.protocol.actions import Level, Note, Send
from rserpool.protocol.registrar.access import Right
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.answers import FORBIDDEN, unknown_pool, unresolved
from rserpool.protocol.registrar.asap.subscriptions import Subscriptions
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count


class Resolutions:
    """Handle resolutions that do not take the fast lane, subscriptions among them."""

    def __init__(self, context: RegistrarContext, subscriptions: Subscriptions) -> None:
        self._context = context
        self._subscriptions = subscriptions

    def resolve(self, association: Association, message: HandleResolution, now: int) -> list[Action]:
        """Answer with elements of the pool, and begin or end a subscription to it."""
        handle, context = message.pool_handle, self._context
        if not context.access.may(association.peer.principal, Right.RESOLVE, handle):
            return self._forbid(association, handle)
        context.counters.count(Count.RESOLUTIONS)
        if not message.subscribe:
            self._subscriptions.discard(handle, association)
        items = message.items or context.settings.profile.default_items
        accepted = message.subscribe and context.handlespace.pool(handle) is not None
        accepted = accepted and self._subscriptions.add(handle, association)
        answer = context.handlespace.resolution(handle, items, accept_subscription=accepted)
        if answer is None:
            context.counters.count(Count.UNKNOWN_POOLS)
            answer = unknown_pool(handle)
        return [Send(association.number, answer)]

    def _forbid(self, association: Association, handle: bytes) -> list[Action]:
        """Refuse a resolution, whether or not the pool exists."""
        self._context.counters.count(Count.RESOLUTIONS_REFUSED)
        peer = association.peer
        text = f"{peer}: {peer.principal} may not resolve pool {handle!r}"
        answer = Send(association.number, unresolved(handle, FORBIDDEN))
        return [answer, Note(Level.WARNING, f"{peer} refused", text)]
