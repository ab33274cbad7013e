"""Sessions between processes over libusrsctp on the loopback interface, while elements are killed, stopped and
ended."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

import pytest

from rserpool.client import FailoverEvent, PoolUser, Session, open_session
from tests.system.test_registrar import PATIENCE, Running

COUNTING = """
import asyncio, sys
from rserpool.client import Data, PoolElement, Resumed, Sealer, serve

async def count(session):
    number = 0
    async for item in session:
        if isinstance(item, Resumed):
            number = int(item.cookie)
        elif isinstance(item, Data):
            number += 1
            session.cookie = b"%d" % number
            await session.send(b"%d" % number, item.ppid)

async def main():
    element = PoolElement("Pool", registrars=[sys.argv[1]], identifier=int(sys.argv[2]))
    element.seal = Sealer({1: bytes(32)})
    serving = asyncio.create_task(serve(element, count))
    while not element.identifier:
        await asyncio.sleep(0.01)
    await element.registered()
    print("registered", flush=True)
    await serving

asyncio.run(main())
"""


class Elements:
    """Processes of pool elements, by identifier."""

    def __init__(self, registrar: str) -> None:
        self.registrar = registrar
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, identifier: int) -> None:
        command = [sys.executable, "-c", COUNTING, self.registrar, str(identifier)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes[identifier] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "registered\n"

    def signal(self, session: Session, number: signal.Signals) -> int:
        """Send a signal to the element that serves the session; returns its identifier."""
        assert session.element is not None
        identifier = session.element.identifier
        self.processes[identifier].send_signal(number)
        return identifier

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def elements() -> Iterator[Elements]:
    running = Running("--enrp=127.0.0.1:0")
    made = Elements(running.where)
    try:
        for identifier in (1, 2, 3):
            made.start(identifier)
        yield made
    finally:
        made.stop()
        with contextlib.suppress(ProcessLookupError):
            running.process.kill()
        running.process.communicate(timeout=PATIENCE)


def play(course: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await course()

    asyncio.run(main())


async def next_event(session: Session) -> FailoverEvent:
    while True:
        item = await session.receive()
        if isinstance(item, FailoverEvent):
            return item


@pytest.mark.conformance("ASAP-3.8-03", "ASAP-3.8-04", "REQ-3237-2.1-01", "SEC-5355-2.9-01")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_reply_numbers_stay_consecutive_when_elements_end(elements: Elements, how: signal.Signals) -> None:
    async def course() -> None:
        async with (
            PoolUser(registrars=[elements.registrar]) as user,
            open_session("Pool", user=user, failover="event") as session,
        ):
            number = 0
            for _ in range(2):
                for _ in range(20):
                    number += 1
                    await session.send(b"next", 33)
                    assert await session.receive() == b"%d" % number
                identifier = elements.signal(session, how)
                event = await next_event(session)
                assert event.old.identifier == identifier != event.new.identifier
                assert event.had_cookie
                assert event.duration < 3
            number += 1
            await session.send(b"next", 33)
            assert await session.receive() == b"%d" % number

    play(course)
