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
"""Seconds after which a refused element tries to register again."""


class PoolRegistration:
    """The registration of one server (element_proxy.Registration), on an open node. Logs changes of its state."""

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
        self._logging: asyncio.Task[None] | None = None
        self._home = ""
        """The registrar named in the latest log line about a registration."""

    async def begin(self) -> None:
        """Start to register, without waiting for a registrar, and keep the server registered."""
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

        async def log_events() -> None:
            async for event in events:
                if not isinstance(event, EventsDropped):
                    await self._log(element, event)

        self._logging = asyncio.create_task(log_events())

    async def end(self) -> None:
        """Deregister the server."""
        element, logging_task = self._element, self._logging
        self._element = self._logging = None
        self._home = ""
        if element is not None:
            await element.__aexit__(None, None, None)
            log.info("0x%08x is deregistered from pool %s", self._identifier, self._handle)
        if logging_task is not None:
            logging_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await logging_task

    async def set_load(self, load: float) -> None:
        """Set the load, 0 to 1, for this registration or the next."""
        self._policy = with_load(self._policy, load)
        if self._element is not None:
            self._element.policy = self._policy

    async def _log(self, element: PoolElement, event: ElementStatus) -> None:
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
                log.error("pool %s: the registrar refused the server%s; retrying in %g s", self._handle, because, RETRY)
                await asyncio.sleep(RETRY)
                if element is self._element:
                    element.policy = replace(element.policy)
