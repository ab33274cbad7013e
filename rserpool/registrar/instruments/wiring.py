"""The registrar's instruments, as configured: statistics, scalars, action log, debug log and status reports.

They never take an association off its fast lane. Statistics and scalars read counters and sizes; observers see the
readable way; a journal logs the messages that lanes serve, and the debug log sums these up once a second.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial

from rserpool.model.numbers import CSP_PORT, MICROSECONDS
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.registrar import Registrar
from rserpool.protocol.registrar.snapshot import walk
from rserpool.registrar.instruments import action_log as actionlog
from rserpool.registrar.instruments import csp, statistics
from rserpool.registrar.instruments.lane_summary import LaneSummary
from rserpool.registrar.instruments.output import Output
from rserpool.registrar.instruments.statistics import Averages, Sizes, Totals
from rserpool.registrar.server import Server
from rserpool.settings.locator import parse_address
from rserpool.settings.server import ServerOptions

log = logging.getLogger("rserpool.registrar")

FLUSH_SECONDS = 1.0
"""Longest time until a line is in its file."""
SUMMARY_SECONDS = 1.0
"""Time between two lines of the debug log about the fast lane."""
AVERAGE_SECONDS = 0.1
"""Time between two samples of the sizes for the scalars' averages: sizes change without any call to an instrument."""


class Outputs:
    """The files that instruments write to; a context manager. They stay open from run to run of the failure test."""

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
    held = registrar.snapshot.sizes()
    return Sizes(peers=held.peers, pools=held.pools, elements=held.elements, owned=held.own_elements)


def totals(registrar: Registrar) -> Totals:
    """A registrar's counts so far."""
    counters = registrar.counters
    return Totals(
        registrations=counters[Count.REGISTRATIONS] + counters[Count.RE_REGISTRATIONS],
        reregistrations=counters[Count.RE_REGISTRATIONS],
        deregistrations=counters[Count.DEREGISTRATIONS],
        handle_resolutions=counters[Count.RESOLUTIONS],
        failure_reports=counters[Count.REPORTS],
        synchronizations=counters[Count.TABLE_REQUESTS],
        handle_updates=counters[Count.UPDATES],
        keep_alives=counters[Count.KEEP_ALIVES],
    )


class Instruments:
    """All instruments of one server, from start() to stop(). Start them after the server."""

    def __init__(self, server: Server, outputs: Outputs) -> None:
        self._server = server
        self._options = server.config.server
        self._outputs = outputs
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._averages: Averages | None = None
        self._file: actionlog.ActionLogFile | None = None
        self._monitor: tuple[str, int] | None = None
        self._running = False

    def start(self) -> None:
        """Start. LocalProtocolError if the monitor's address is invalid."""
        outputs, options = self._outputs, self._options
        self._running = True
        outputs.runs += 1
        if options.csp_interval:
            self._monitor = parse_address(options.csp_server, CSP_PORT)
            self._every(options.csp_interval, self._report)
        if outputs.statistics is not None:
            outputs.statistics.text(statistics.HEADER)
            if options.stats_interval:
                self._sample()
                self._every(options.stats_interval, self._sample)
        if outputs.scalars is not None:
            self._averages = Averages(time.monotonic())
            self._average()
            self._every(AVERAGE_SECONDS, self._average)
        self._log_messages()
        self._every(FLUSH_SECONDS, self._flush)

    def _log_messages(self) -> None:
        """Log each message to the action log's file and at debug level, if so configured."""
        writers: list[Callable[[str], None]] = []

        def write(line: str) -> None:
            for one in writers:
                one(line)

        observer = actionlog.ActionLog(
            write,
            lambda: self._server.registrar.settings.identifier,
            self._server.config.settings.keep_alive_interval,
            wall=time.time,
            elapsed=self._outputs.elapsed,
        )
        if self._outputs.actions is not None:
            self._outputs.actions.text(actionlog.HEADER)
            self._file = actionlog.ActionLogFile(self._outputs.actions, self._outputs.began, observer.outstanding)
            self._server.journal = self._server.registrar.asap.lanes.journal = self._file.journal
            writers.append(self._file.line)
        if log.isEnabledFor(logging.DEBUG):
            writers.append(lambda line: log.debug("message: %s", line.split("   ", 1)[1]))
            summary = LaneSummary(lambda: self._server.registrar.asap.lanes.counters)
            self._every(SUMMARY_SECONDS, summary.log)
        if writers:
            self._server.observers.append(observer)

    def stop(self) -> None:
        """Write the final figures and stop, if started. The files stay open."""
        if not self._running:
            return
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        if self._outputs.statistics is not None and not self._options.stats_interval:
            self._sample()
        if self._outputs.scalars is not None and self._averages is not None:
            self._average()
            done, averages = totals(self._server.registrar), self._averages.read(time.monotonic())
            self._outputs.scalars.text(
                statistics.scalars(self._outputs.runs, self._options.object_name, done, averages)
            )
        if self._monitor is not None:
            self._send_report(final=True)
        self._server.observers.clear()
        self._server.journal = self._server.registrar.asap.lanes.journal = None
        self._flush()

    def _every(self, seconds: float, task: Callable[[], None]) -> None:
        """Call a task periodically, without drift."""

        def again(due: float) -> None:
            task()
            following = max(due + seconds, self._loop.time())
            self._timers[task] = self._loop.call_at(following, again, following)

        first = self._loop.time() + seconds
        self._timers[task] = self._loop.call_at(first, again, first)

    def _average(self) -> None:
        assert self._averages is not None
        self._averages.hold(sizes(self._server.registrar), time.monotonic())

    def _flush(self) -> None:
        if self._file is not None:
            self._file.write_journal()
        for output in (self._outputs.statistics, self._outputs.actions, self._outputs.scalars):
            if output is not None:
                output.flush()

    def _sample(self) -> None:
        if self._outputs.statistics is not None:
            used = os.times()
            done = totals(self._server.registrar)
            cpu = (used.user, used.system)
            self._outputs.statistics.line(
                statistics.line(time.time(), self._outputs.elapsed(), cpu, sizes(self._server.registrar), done)
            )

    def _report(self) -> None:
        self._send_report(final=False)

    def _send_report(self, *, final: bool) -> None:
        """Send one status report. A failure is logged at debug level only, because a monitor may not be running."""
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
                csp.AssociationReport(receiver=csp.Component(group=csp.Group.REGISTRAR, identifier=peer.identifier))
                for peer in walk(partial(registrar.snapshot.peers, registrar.wheel.now))
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
