"""Registers one server in its pool, and logs the state of the registration."""

import asyncio
import contextlib
import logging
from dataclasses import replace

from rserpool.client import (
    ElementState,
    ElementStatus,
    EventsDropped,
    Node,
    PoolElement,
    RegistrationTimes,
)
from rserpool.client.pool_element import with_load
from rserpool.messages import Policy, Transport

log = logging.getLogger("rserpool.proxy")

RETRY = 30.0
"""Seconds after which an element that was refused is offered again."""


class PoolRegistration:
    """One server's registration (element.Registration), on a node that is open. What its state is goes to the log."""

    def __init__(
        self, node: Node, handle: str, transport: Transport, policy: Policy, identifier: int, life: float
    ) -> None:
        self._node = node
        self._handle = handle
        self._transport = transport
        self._policy = policy
        self._identifier = identifier
        self._life = life
        self._element: PoolElement | None = None
        self._teller: asyncio.Task[None] | None = None
        self._home = ""
        """Where it is registered, as the log has said."""

    async def begin(self) -> None:
        """See element.Registration. It is pursued from now on, whether there is a registrar or not."""
        element = PoolElement(
            self._handle,
            self._transport,
            policy=self._policy,
            identifier=self._identifier,
            times=RegistrationTimes(life=self._life),
            node=self._node,
            patience=None,
        )
        events = element.events()
        await element.__aenter__()
        self._element = element

        async def tell() -> None:
            async for event in events:
                if not isinstance(event, EventsDropped):
                    await self._tell(element, event)

        self._teller = asyncio.create_task(tell())

    async def end(self) -> None:
        """See element.Registration."""
        element, teller = self._element, self._teller
        self._element = self._teller = None
        self._home = ""
        if element is not None:
            await element.__aexit__(None, None, None)
            log.info("0x%08x is out of pool %s", self._identifier, self._handle)
        if teller is not None:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller

    async def set_load(self, load: float) -> None:
        """See element.Registration."""
        self._policy = with_load(self._policy, load)
        if self._element is not None:
            self._element.policy = self._policy

    async def _tell(self, element: PoolElement, event: ElementStatus) -> None:
        because = f": {event.reason}" if event.reason else ""
        match event.state:
            case ElementState.READY if event.current and event.home is not None and event.home.addresses:
                where = f"{event.home.addresses[0]} port {event.home.port}"
                if where != self._home:
                    log.info("0x%08x is registered in pool %s at %s", event.identifier, self._handle, where)
                self._home = where
            case ElementState.HUNT:
                self._home = ""
                log.warning("pool %s: looking for a registrar%s", self._handle, because)
            case ElementState.REFUSED:
                log.error("pool %s: the registrar refuses the server%s; next try in %g s", self._handle, because, RETRY)
                await asyncio.sleep(RETRY)
                if element is self._element:
                    element.policy = replace(element.policy)
