"""The pool element for a TCP server without RSerPool support: registered, with its load, while health checks pass."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from rserpool.errors import RSerPoolError
from rserpool.proxy.checks import Check, CheckFailed, Health, load_of
from rserpool.settings.checks import check_positive

log = logging.getLogger("rserpool.proxy")


class Registration(Protocol):
    """The registration of the server in its pool."""

    async def begin(self) -> None:
        """Register the server, and keep it registered. Raises RSerPoolError or OSError."""

    async def end(self) -> None:
        """Deregister the server."""

    async def set_load(self, load: float) -> None:
        """Set the load, 0 to 1, for this registration or the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementProxySettings:
    """The settings of an element proxy: how it checks the server. Durations are in seconds."""

    interval: float = 2.0
    """Seconds from the end of one check to the next."""

    timeout: float = 1.0
    """Seconds within which a check must succeed."""

    rise: int = 2
    """Successful checks in a row after which a server that was down is registered again. The first check of all decides
    at once."""

    fall: int = 3
    """Failed checks in a row after which a server that was up is deregistered. A silent server leaves its pool after
    about fall * (interval + timeout)."""

    load_interval: float = 5.0
    """Seconds from the end of one load command to the next."""

    load_timeout: float = 5.0
    """Seconds within which the load command must exit. Until then the last load stays."""

    def __post_init__(self) -> None:
        check_positive(self)


class ElementProxy:
    """Keeps one server registered in its pool while it is up and run() runs."""

    def __init__(
        self,
        registration: Registration,
        settings: ElementProxySettings,
        check: Check | None,
        load_command: tuple[str, ...] = (),
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._registration = registration
        self._settings = settings
        self._check = check
        self._load_command = load_command
        self._health = Health(settings.rise, settings.fall)
        self._registered = False
        self._load_failed = False

    @property
    def registered(self) -> bool:
        """True while the server is up and registered."""
        return self._registered

    async def run(self) -> None:
        """Check the server, register and deregister it, until cancelled. Deregisters it at the end."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._load_command:
                    group.create_task(self._follow_load())
                group.create_task(self._follow_health())
        finally:
            await self._set_registered(False)

    async def _follow_health(self) -> None:
        while True:
            reason = await self._check_once()
            if self._health.checked(reason is None):
                log.info("the server is %s", "up" if reason is None else f"down: {reason}")
            elif reason is not None and self._health.up:
                log.warning("a check failed: %s", reason)
            await self._set_registered(bool(self._health.up))
            await asyncio.sleep(self._settings.interval)

    async def _check_once(self) -> str | None:
        """Run the check. Return the reason of a failure, or None."""
        if self._check is None:
            return None
        self.counters["checks"] += 1
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._check.run()
        except TimeoutError:
            reason = f"no answer within {self._settings.timeout:g} s"
        except CheckFailed as error:
            reason = str(error)
        else:
            return None
        self.counters["checks failed"] += 1
        return reason

    async def _set_registered(self, up: bool) -> None:
        """Register or deregister if needed. After a failure the next check tries again."""
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
                async with asyncio.timeout(self._settings.load_timeout):
                    load = await load_of(self._load_command)
                await self._registration.set_load(load)
            except TimeoutError:
                self._load_unknown(f"no load within {self._settings.load_timeout:g} s")
            except (CheckFailed, RSerPoolError, OSError) as error:
                self._load_unknown(str(error))
            else:
                self.counters["loads"] += 1
                if self._load_failed:
                    log.info("the load command works again: load %.1f %%", 100 * load)
                self._load_failed = False
            await asyncio.sleep(self._settings.load_interval)

    def _load_unknown(self, reason: str) -> None:
        self.counters["loads unknown"] += 1
        if not self._load_failed:
            log.warning("load unknown, keeping the last one: %s", reason)
        self._load_failed = True
