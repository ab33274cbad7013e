"""``rspregistrar``: a registrar in the place of rsplib's, with its options, files and signals."""

import asyncio
import errno
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence

import uvloop

from rserpool.cli import rsplib_log
from rserpool.cli.collector import settle
from rserpool.cli.daemon import detach
from rserpool.cli.plugins import load_policies
from rserpool.cli.readiness import notify
from rserpool.cli.rsplib_banner import banner
from rserpool.cli.rsplib_config import Setup
from rserpool.cli.rsplib_options import parse, usage
from rserpool.errors import RSerPoolError
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.moderation import moderation_of
from rserpool.registrar.server import Server

log = logging.getLogger("rserpool.registrar")

PORT_DRAWS = 32
"""Random ports that are tried before it is given up."""
KILL_AFTER = 2.0
"""Seconds after the first signal from which on a second one ends the process at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the registrar; the exit status. A mistake is one line on standard error and status 1."""
    try:
        given = parse(sys.argv[1:] if arguments is None else arguments)
        if "help" in given:
            print(usage(), end="")
            return 0
        setup = Setup(given, os.environ)
        process = setup.process
        rsplib_log.set_up(process.log_level, process.log_file, append=process.log_append, colour=process.log_colour)
        load_policies(log)
        draws = random.SystemRandom()
        outputs = Outputs(setup.config(draws.randint).server)
        serving = detach(process.daemon_pid_file) if process.daemon_pid_file else None
        settle()
        with outputs:
            Program(setup, outputs, draws, serving).run()
    except (RSerPoolError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    if not process.quiet:
        print("\nTerminated!")
    return 0


class Ending:
    """Waits for a signal that asks for the end; a second one, a while later, ends the process at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._first: float | None = None
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.signal)

    def signal(self) -> None:
        """A signal arrived."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first >= KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        self.asked.set()

    async def within(self, seconds: float | None) -> bool:
        """Whether the end is asked for within so many seconds, or at all."""
        try:
            async with asyncio.timeout(seconds):
                await self.asked.wait()
        except TimeoutError:
            return False
        return True


class Program:
    """One process: a registrar from start to end, or, in the failure test, one after the other."""

    def __init__(
        self, setup: Setup, outputs: Outputs, draws: random.Random, serving: Callable[[], None] | None
    ) -> None:
        self._setup = setup
        self._process = setup.process
        self._outputs = outputs
        self._draws = draws
        self._serving = serving

    def run(self) -> None:
        """Until a signal comes. Raises RSerPoolError or OSError."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._runs())

    async def _runs(self) -> None:
        ending = Ending()
        mean = self._process.uptime
        while True:
            uptime = self._exponential(mean) if mean else None
            if uptime is not None:
                number = self._outputs.runs + 1
                self._say(
                    f"Uptime   = {mean:.3f} [s]\nDowntime = {self._process.downtime:.3f} [s]\n\n"
                    f"Run #{number}: Running registrar for {uptime:.3f}s ...\n"
                )
            server = await self._started()
            instruments = Instruments(server, self._outputs)
            try:
                instruments.start()
                if self._serving is not None:
                    self._serving()
                notify("READY=1")
                if await ending.within(uptime):
                    notify("STOPPING=1")
                    return
            finally:
                instruments.stop()
                await server.stop()
            pause = self._exponential(self._process.downtime)
            self._say(f"Shutdown by timer!\n\nWaiting for {pause:.3f}s ...")
            if await ending.within(pause):
                return

    async def _started(self) -> Server:
        """A registrar that serves; with another port where a random one is taken."""
        for left in reversed(range(PORT_DRAWS)):
            config = self._setup.config(self._draws.randint)
            server = Server(config, moderation=moderation_of(config.server))
            try:
                await server.start()
            except BaseException as error:
                await server.stop()
                taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
                if taken and left and self._setup.draws_ports:
                    continue
                raise
            self._say(banner(config, self._process))
            return server
        raise AssertionError

    def _exponential(self, mean: float) -> float:
        return self._draws.expovariate(1 / mean) if mean else 0.0

    def _say(self, text: str) -> None:
        if not self._process.quiet:
            print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
