"""The element proxy in virtual time: registered while the server is up, with its load."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from rserpool.client import NoRegistrar
from rserpool.errors import LocalProtocolError
from rserpool.proxy.checks import CheckFailed
from rserpool.proxy.element_proxy import ElementProxy, ElementProxySettings
from tests.support.virtual_time import run_virtually
from tests.support.waiting import eventually


class Scripted:
    """A check with one result each second from a string: + passes, - fails, . does not answer."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.ran = 0

    async def run(self) -> None:
        self.ran += 1
        now = int(asyncio.get_running_loop().time())
        match self.script[min(now, len(self.script) - 1)]:
            case "-":
                raise CheckFailed("refused")
            case ".":
                await asyncio.sleep(1000)


class Registration:
    """A registration that records its calls with their times."""

    def __init__(self, refusals: int = 0) -> None:
        self.log: list[tuple[int, str]] = []
        self.loads: list[float] = []
        self.refusals = refusals

    def note(self, what: str) -> None:
        self.log.append((int(asyncio.get_running_loop().time()), what))

    async def begin(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NoRegistrar("nobody there")
        self.note("up")

    async def end(self) -> None:
        self.note("down")

    async def set_load(self, load: float) -> None:
        self.loads.append(load)


def watch(registration: Registration, script: str, seconds: float, **changes: Any) -> ElementProxy:
    watching = ElementProxySettings(**({"interval": 1.0, "timeout": 0.5} | changes))

    async def main() -> ElementProxy:
        proxy = ElementProxy(registration, watching, Scripted(script))
        running = asyncio.create_task(proxy.run())
        await asyncio.sleep(seconds)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return proxy

    return run_virtually(main())


def test_a_server_is_registered_while_it_is_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    registration = Registration()
    proxy = watch(registration, "-++++----------++++++", 19.5)
    assert registration.log == [(2, "up"), (7, "down"), (16, "up"), (19, "down")]
    assert not proxy.registered
    assert proxy.counters["registrations"] == 2
    assert proxy.counters["checks failed"] == 11
    assert re.findall("the server is .*", caplog.text) == [
        "the server is down: refused", "the server is up", "the server is down: refused", "the server is up",
    ]  # fmt: skip


def test_the_first_good_check_registers_and_one_failure_changes_nothing() -> None:
    registration = Registration()
    watch(registration, "++--+--+--+", 10.5)
    assert registration.log == [(0, "up"), (10, "down")]


def test_a_check_without_an_answer_in_time_fails() -> None:
    registration = Registration()
    watch(registration, "+..........", 9.0, fall=2)
    assert registration.log == [(0, "up"), (3, "down")]


def test_a_server_that_stays_down_is_never_registered() -> None:
    registration = Registration()
    watch(registration, "-", 30)
    assert registration.log == []


def test_a_failed_registration_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    registration = Registration(refusals=3)
    proxy = watch(registration, "+", 9.5)
    assert registration.log == [(3, "up"), (9, "down")]
    assert proxy.counters["registrations failed"] == 3
    assert "registration failed: nobody there" in caplog.text


def test_without_a_check_the_server_counts_as_up() -> None:
    registration = Registration()

    async def main() -> None:
        running = asyncio.create_task(ElementProxy(registration, ElementProxySettings(), None).run())
        await asyncio.sleep(50)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main())
    assert registration.log == [(0, "up"), (50, "down")]


def test_the_load_follows_a_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    value = tmp_path / "load"
    value.write_text("0.5")
    registration = Registration()

    async def main() -> None:
        watching = ElementProxySettings(load_interval=0.01, load_timeout=30)
        proxy = ElementProxy(registration, watching, None, ("cat", str(value)))
        running = asyncio.create_task(proxy.run())
        await eventually(lambda: registration.loads[-1:] == [0.5])
        value.write_text("nonsense")
        await eventually(lambda: proxy.counters["loads unknown"] >= 3)
        value.write_text("80%")
        await eventually(lambda: registration.loads[-1:] == [0.8])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert set(registration.loads) == {0.5, 0.8}
    assert caplog.text.count("load unknown, keeping the last one: load must be") == 1
    assert "the load command works again: load 80.0 %" in caplog.text


@pytest.mark.parametrize("name", ["interval", "timeout", "rise", "fall", "load_interval"])
def test_an_invalid_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^{name} must be more than 0"):
        ElementProxySettings(**{name: 0})  # type: ignore[arg-type]
