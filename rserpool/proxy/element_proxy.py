"""The pool element for a TCP server that knows of no pools: registered while checks find it up, with its load."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, fields
from typing import Protocol

from rserpool.errors import LocalProtocolError, RSerPoolError
from rserpool.proxy.checks import Check, CheckFailed, Health, load_of

log = logging.getLogger("rserpool.proxy")


class Registration(Protocol):
    """The registration of the server, whoever keeps it up."""

    async def begin(self) -> None:
        """Register and stay registered. Raises RSerPoolError or OSError."""

    async def end(self) -> None:
        """Deregister."""

    async def set_load(self, load: float) -> None:
        """Tell the load, 0 to 1, now or with the next registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementProxySettings:
    """How a server is watched. Durations are in seconds."""

    interval: float = 2.0
    """Seconds from the end of one check to the next."""

    timeout: float = 1.0
    """Seconds within which a check must succeed."""

    rise: int = 2
    """Good checks in a row after which a server that was down is registered again. The first check of all decides by
    itself."""

    fall: int = 3
    """Bad checks in a row after which a server that was up is deregistered. A server that vanishes without a word is
    out of its pool after about fall * (interval + timeout)."""

    load_interval: float = 5.0
    """Seconds from the end of one load command to the next."""

    load_timeout: float = 5.0
    """Seconds within which a load command must have ended; until then the last load holds."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise LocalProtocolError(f"--{field.name.replace('_', '-')} must be more than 0")


class ElementProxy:
    """Keeps one server in its pool while run() runs."""

    def __init__(
        self,
        registration: Registration,
        watching: ElementProxySettings,
        check: Check | None,
        load_command: tuple[str, ...] = (),
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._registration = registration
        self._watching = watching
        self._check = check
        self._load_command = load_command
        self._health = Health(watching.rise, watching.fall)
        self._registered = False
        self._load_failed = False

    @property
    def registered(self) -> bool:
        """Whether the server was found up and is registered."""
        return self._registered

    async def run(self) -> None:
        """Check, register, deregister, until cancelled; deregisters at the end."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._load_command:
                    group.create_task(self._follow_load())
                group.create_task(self._follow_health())
        finally:
            await self._settle(False)

    async def _follow_health(self) -> None:
        while True:
            reason = await self._checked()
            if self._health.checked(reason is None):
                log.info("the server is %s", "up" if reason is None else f"down: {reason}")
            elif reason is not None and self._health.up:
                log.warning("a check failed: %s", reason)
            await self._settle(bool(self._health.up))
            await asyncio.sleep(self._watching.interval)

    async def _checked(self) -> str | None:
        """Why the check failed, or None."""
        if self._check is None:
            return None
        self.counters["checks"] += 1
        try:
            async with asyncio.timeout(self._watching.timeout):
                await self._check.run()
        except TimeoutError:
            reason = f"no answer within {self._watching.timeout:g} s"
        except CheckFailed as error:
            reason = str(error)
        else:
            return None
        self.counters["checks failed"] += 1
        return reason

    async def _settle(self, up: bool) -> None:
        """Register or deregister, as far as it is not so already. What fails is tried again at the next check."""
        if up is self._registered:
            return
        try:
            if up:
                await self._registration.begin()
            else:
                await self._registration.end()
        except (RSerPoolError, OSError) as error:
            self.counters["registrations failed"] += 1
            log.error("%s failed: %s", "registration" if up else "deregistration", error)
            return
        self._registered = up
        self.counters["registrations" if up else "deregistrations"] += 1

    async def _follow_load(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._watching.load_timeout):
                    load = await load_of(self._load_command)
                await self._registration.set_load(load)
            except TimeoutError:
                self._load_unknown(f"no load within {self._watching.load_timeout:g} s")
            except (CheckFailed, RSerPoolError, OSError) as error:
                self._load_unknown(str(error))
            else:
                self.counters["loads"] += 1
                if self._load_failed:
                    log.info("the load is known again: %.1f %%", 100 * load)
                self._load_failed = False
            await asyncio.sleep(self._watching.load_interval)

    def _load_unknown(self, reason: str) -> None:
        self.counters["loads unknown"] += 1
        if not self._load_failed:
            log.warning("the last load holds: %s", reason)
        self._load_failed = True
