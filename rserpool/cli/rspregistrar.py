"""``rspregistrar``: a drop-in replacement for rsplib's registrar, with its options, files and signals."""

import asyncio
import errno
import logging
import os
import random
import sys
from collections.abc import Callable, Sequence

import uvloop

from rserpool.cli import rsplib_log
from rserpool.cli.collector import freeze_imports
from rserpool.cli.daemon import detach
from rserpool.cli.plugins import load_policies
from rserpool.cli.readiness import notify
from rserpool.cli.rsplib_banner import banner
from rserpool.cli.rsplib_config import Setup
from rserpool.cli.rsplib_options import parse, usage
from rserpool.cli.stopping import StopRequest
from rserpool.errors import RSerPoolError
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.moderation import moderation_of
from rserpool.registrar.server import Server

log = logging.getLogger("rserpool.registrar")

PORT_DRAWS = 32
"""The number of random ports that are tried before the registrar gives up."""
KILL_AFTER = 2.0
"""Another signal that comes more than this many seconds after the first one kills the process at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the registrar and return the exit status. A mistake is one line on standard error and status 1."""
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
        ready = detach(process.daemon_pid_file) if process.daemon_pid_file else None
        freeze_imports()
        with outputs:
            Program(setup, outputs, draws, ready).run()
    except (RSerPoolError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    if not process.quiet:
        print("\nTerminated!")
    return 0


class Program:
    """One process: runs a registrar until a signal arrives or, in the failure test, one registrar after the other."""

    def __init__(self, setup: Setup, outputs: Outputs, draws: random.Random, ready: Callable[[], None] | None) -> None:
        self._setup = setup
        self._process = setup.process
        self._outputs = outputs
        self._draws = draws
        self._ready = ready

    def run(self) -> None:
        """Run until a signal arrives. Raises RSerPoolError or OSError."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run_registrars())

    async def _run_registrars(self) -> None:
        stop = StopRequest(kill_after=KILL_AFTER)
        mean = self._process.uptime
        while True:
            uptime = self._exponential(mean) if mean else None
            if uptime is not None:
                number = self._outputs.runs + 1
                self._print(
                    f"Uptime   = {mean:.3f} [s]\nDowntime = {self._process.downtime:.3f} [s]\n\n"
                    f"Run #{number}: Running registrar for {uptime:.3f}s ...\n"
                )
            server = await self._start()
            instruments = Instruments(server, self._outputs)
            try:
                instruments.start()
                if self._ready is not None:
                    self._ready()
                notify("READY=1")
                if await stop.within(uptime):
                    notify("STOPPING=1")
                    return
            finally:
                instruments.stop()
                await server.stop()
            pause = self._exponential(self._process.downtime)
            self._print(f"Shutdown by timer!\n\nWaiting for {pause:.3f}s ...")
            if await stop.within(pause):
                return

    async def _start(self) -> Server:
        """Start a registrar. If a random port is in use, try another one."""
        for left in reversed(range(PORT_DRAWS)):
            config = self._setup.config(self._draws.randint)
            server = Server(config, moderation=moderation_of(config.server))
            try:
                await server.start()
            except BaseException as error:
                await server.stop()
                port_in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
                if port_in_use and left and self._setup.draws_ports:
                    continue
                raise
            self._print(banner(config, self._process))
            return server
        raise AssertionError("the last attempt returns or raises")

    def _exponential(self, mean: float) -> float:
        return self._draws.expovariate(1 / mean) if mean else 0.0

    def _print(self, text: str) -> None:
        if not self._process.quiet:
            print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
