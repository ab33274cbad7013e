"""The scenarios, octet for octet, over the guest's kernel SCTP against the registrar in a process of its own.

Arguments: ``asap`` or ``enrp``, and ``rfc`` or ``rsplib``.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from rserpool.transport.interface import Transport, Tuning
from rserpool.transport.sctp.kernel import KernelTransport
from rserpool.transport.udp.announce import AnnounceListener, as_group
from tests.interop.guest import finding, out_directory
from tests.interop.network import LATE, capture
from tests.scenarios.asap import ASAP_ROWS
from tests.scenarios.enrp import ENRP_ROWS, profiles_of
from tests.scenarios.tester import SOON, Counterpart, exchange

ADDRESS = "10.44.0.1"
PORT = 3863
GROUP = "224.0.1.185"


class GuestLab:
    """One registrar process at dum0's address, and testers on the same host."""

    def __init__(self, name: str, profile: str) -> None:
        self.name = name
        self.profile = profile
        self.end = contextlib.AsyncExitStack()
        self.announcements: asyncio.Queue[bytes] = asyncio.Queue()

    async def registrar(self, *flags: str) -> Counterpart:
        listener = AnnounceListener([as_group(GROUP, PORT)], self._announced, interfaces=["dum0"])
        self.end.callback(listener.close)
        await self._start(*flags)
        transport: Transport = KernelTransport(Tuning())
        self.end.push_async_callback(transport.stop)
        counterpart = Counterpart(transport, ADDRESS, (ADDRESS, PORT))
        self.end.push_async_callback(counterpart.close)
        return counterpart

    async def _start(self, *flags: str) -> None:
        log = self.end.enter_context((out_directory() / f"{self.name}.log").open("wb"))
        command = ["-m", "rserpool.cli.main", "registrar", "--identifier=0x22222222", f"--asap={ADDRESS}:{PORT}"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--transport=kernel", f"--profile={self.profile}", *flags, stderr=log
        )
        self.end.push_async_callback(ended, process)
        await asyncio.wait_for(listening(process), SOON)

    def _announced(self, data: bytes, source: object, port: int) -> None:
        assert source == ip_address(ADDRESS)
        assert port == PORT
        self.announcements.put_nowait(data)

    async def exchange_over_tcp(self, writes: Sequence[bytes], octets_expected: int) -> bytes:
        return await exchange(ADDRESS, PORT, writes, octets_expected)

    async def announcement(self) -> bytes:
        return await asyncio.wait_for(self.announcements.get(), SOON)


async def listening(process: asyncio.subprocess.Process) -> None:
    """Wait until the registrar accepts connections."""
    while True:
        assert process.returncode is None, f"the registrar ended with status {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, PORT)) == 0:
                return
        await asyncio.sleep(0.05)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End the registrar and check that its status is 0."""
    process.terminate()
    assert await asyncio.wait_for(process.wait(), SOON) == 0


async def play(protocol: str, profile: str) -> None:
    recorder = capture(out_directory(), "lo")
    of_asap = list(ASAP_ROWS)
    of_enrp = [scenario for scenario in ENRP_ROWS if profile in profiles_of(scenario)]
    for scenario in of_asap if protocol == "asap" else of_enrp:
        with finding(scenario.__name__):
            lab = GuestLab(scenario.__name__, profile)
            async with lab.end:
                await scenario(lab)
    await asyncio.sleep(LATE)
    recorder.stop()


if __name__ == "__main__":
    asyncio.run(play(*sys.argv[1:]))
