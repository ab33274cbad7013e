"""The registrar's instruments, as configured: statistics, action log, scalars and status reports."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

from rserpool.model.numbers import CSP_PORT, MICROSECONDS
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.registrar import Registrar
from rserpool.registrar.instruments import action_log as actionlog
from rserpool.registrar.instruments import csp, statistics
from rserpool.registrar.instruments.observers import Sizes, Totals
from rserpool.registrar.instruments.output import Output
from rserpool.registrar.server import Server
from rserpool.settings.locator import parse_address
from rserpool.settings.server import ServerOptions

log = logging.getLogger("rserpool.registrar")

FLUSH_SECONDS = 1.0
"""How long a line may wait before it is in its file."""


class Outputs:
    """The files that instruments write to, kept open from run to run of the failure test; a context manager."""

    def __init__(self, options: ServerOptions) -> None:
        """OSError if a file cannot be created."""
        self.began = time.monotonic()
        self.runs = 0
        self.statistics = Output(options.stats_file) if options.stats_file else None
        self.actions = Output(options.action_log_file) if options.action_log_file else None
        self.scalars = Output(options.scalar_file) if options.scalar_file else None

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *error: object) -> None:
        for output in (self.statistics, self.actions, self.scalars):
            if output is not None:
                output.close()

    def elapsed(self) -> float:
        """Seconds since the files were created."""
        return time.monotonic() - self.began


def sizes(registrar: Registrar) -> Sizes:
    """How much a registrar holds now."""
    return Sizes(
        peers=len(registrar.enrp.peers),
        pools=registrar.handlespace.pool_count,
        elements=len(registrar.handlespace),
        owned=registrar.handlespace.home_size(registrar.settings.identifier),
    )


def totals(registrar: Registrar) -> Totals:
    """What a registrar has done so far."""
    counters = registrar.counters
    return Totals(
        registrations=counters["registrations"] + counters["re-registrations"],
        reregistrations=counters["re-registrations"],
        deregistrations=counters["deregistrations"],
        handle_resolutions=counters["handle resolutions"],
        failure_reports=counters["reports"],
        keep_alives=counters["keep-alives"],
    )


class AverageKeeper:
    """An observer that keeps the averages of a server's sizes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.averages = statistics.Averages(time.monotonic())

    def sent(self, channel: object, data: bytes) -> None:
        """See Observer; sizes change with events only."""

    def received(self, channel: object, data: bytes) -> None:
        """See Observer; the event's end counts."""

    def settled(self) -> None:
        """See Observer."""
        self.averages.hold(sizes(self._server.registrar), time.monotonic())


class Instruments:
    """All instruments of one server, from start() to stop(). Start them when the server serves."""

    def __init__(self, server: Server, outputs: Outputs) -> None:
        self._server = server
        self._options = server.config.server
        self._outputs = outputs
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._traffic = statistics.PeerTraffic()
        self._averages: AverageKeeper | None = None
        self._monitor: tuple[str, int] | None = None
        self._running = False

    def start(self) -> None:
        """Begin to observe and to report. Raises LocalProtocolError if the monitor's address is none."""
        outputs, options = self._outputs, self._options
        self._running = True
        outputs.runs += 1
        if options.csp_interval:
            self._monitor = parse_address(options.csp_server, CSP_PORT)
            self._every(options.csp_interval, self._report)
        if outputs.statistics is not None or outputs.scalars is not None:
            self._server.observers.append(self._traffic)
        if outputs.statistics is not None:
            outputs.statistics.text(statistics.HEADER)
            if options.stats_interval:
                self._sample()
                self._every(options.stats_interval, self._sample)
        if outputs.scalars is not None:
            self._averages = AverageKeeper(self._server)
            self._server.observers.append(self._averages)
        if outputs.actions is not None:
            outputs.actions.text(actionlog.HEADER)
            self._log_actions(outputs.actions.line)
        if log.isEnabledFor(logging.DEBUG):
            self._log_actions(lambda line: log.debug("message: %s", line.split("   ", 1)[1]))
        self._every(FLUSH_SECONDS, self._flush)

    def _log_actions(self, write: Callable[[str], None]) -> None:
        self._server.observers.append(
            actionlog.ActionLog(
                write,
                lambda: self._server.registrar.settings.identifier,
                self._server.config.settings.keep_alive_interval,
                wall=time.time,
                elapsed=self._outputs.elapsed,
            )
        )

    def stop(self) -> None:
        """Write what is written at the end, and stop; nothing if not started. The files stay open."""
        if not self._running:
            return
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        if self._outputs.statistics is not None and not self._options.stats_interval:
            self._sample()
        if self._outputs.scalars is not None and self._averages is not None:
            done = statistics.totals_in_order(totals(self._server.registrar), self._traffic)
            averages = self._averages.averages.read(time.monotonic())
            self._outputs.scalars.text(
                statistics.scalars(self._outputs.runs, self._options.object_name, done, averages)
            )
        if self._monitor is not None:
            self._send_report(final=True)
        self._flush()
        self._server.observers.clear()

    def _every(self, seconds: float, task: Callable[[], None]) -> None:
        """Call a task again and again, each time so much later than it was due."""

        def again(due: float) -> None:
            task()
            following = max(due + seconds, self._loop.time())
            self._timers[task] = self._loop.call_at(following, again, following)

        first = self._loop.time() + seconds
        self._timers[task] = self._loop.call_at(first, again, first)

    def _flush(self) -> None:
        for output in (self._outputs.statistics, self._outputs.actions, self._outputs.scalars):
            if output is not None:
                output.flush()

    def _sample(self) -> None:
        if self._outputs.statistics is not None:
            used = os.times()
            done = statistics.totals_in_order(totals(self._server.registrar), self._traffic)
            cpu = (used.user, used.system)
            self._outputs.statistics.line(
                statistics.line(time.time(), self._outputs.elapsed(), cpu, sizes(self._server.registrar), done)
            )

    def _report(self) -> None:
        self._send_report(final=False)

    def _send_report(self, *, final: bool) -> None:
        """One status report. Nobody may be listening: what goes wrong is noted for whoever debugs."""
        assert self._monitor is not None
        data = self._final_report() if final else self._status_report()
        host, port = self._monitor
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(data.encode(), (host, port))
        except OSError as error:
            log.debug("the status report to %s was not sent: %s", host, error.strerror)

    def _status_report(self) -> csp.StatusReport:
        registrar = self._server.registrar
        now = sizes(registrar)
        endpoint = self._server.endpoints[Protocol.ASAP]
        return csp.StatusReport(
            sender=self._self(),
            uptime=round((time.monotonic() - self._began) * MICROSECONDS),
            interval=round(self._options.csp_interval * MICROSECONDS),
            location=csp.location(socket.gethostname().partition(".")[0], endpoint.local_addresses, endpoint.port),
            status=csp.status(now.elements, now.owned, now.pools, now.peers),
            associations=tuple(
                csp.AssociationReport(receiver=csp.Component(group=csp.Group.REGISTRAR, identifier=peer))
                for peer in sorted(registrar.enrp.peers)
            ),
        )

    def _final_report(self) -> csp.StatusReport:
        return csp.StatusReport(
            sender=self._self(),
            uptime=round((time.monotonic() - self._began) * MICROSECONDS),
            interval=round(self._options.csp_interval * MICROSECONDS),
            workload=0.0,
            final=True,
        )

    def _self(self) -> csp.Component:
        return csp.Component(group=csp.Group.REGISTRAR, identifier=self._server.registrar.settings.identifier)
