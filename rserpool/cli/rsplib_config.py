"""From rspregistrar's options to a registrar's configuration, and to what concerns the process alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rserpool.cli import rsplib_values as values
from rserpool.cli.rsplib_options import ASAP_GROUP, BY_NAME
from rserpool.cli.rsplib_values import ArgumentError, Where
from rserpool.model.numbers import CSP_PORT
from rserpool.registrar.config import OPTIONS, Config, ServerOptions, checked
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RSPLIB, Profile

FIRST_PORT, LAST_PORT = 10_000, 59_999
UNLIMITED = 1e9
"""Requests per second that no pool user reaches."""
MIN_ENVIRONMENT_INTERVAL = 0.25
DEFAULT_CSP_INTERVAL = 0.25
CSP_SERVER = Where(("127.0.0.1",), CSP_PORT)
PROFILED = frozenset({"peerheartbeatcycle", "peermaxtimelastheard", "maxhresitems", "maxbadpereports"})
"""Options whose defaults are the profile's."""
APART = frozenset(
    {"asap", "asapannounce", "enrp", "enrpannounce", "peer", "maxhrrate", "maxeurate", "cspserver", "cspinterval"}
    | {"loglevel", "enrpmulticast"}
)
"""Options whose values do not go into the configuration as they are."""
LEVELS = ("error", "error", "warning", "info", "info", "debug", "debug", "debug", "debug", "debug")
"""The least important level that is logged, by number; 0 is dealt with by whoever sets up the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What concerns the process and not the registrar."""

    quiet: bool
    daemon_pid_file: str
    uptime: float
    downtime: float
    log_level: int
    log_file: str
    log_append: bool
    log_colour: bool


class Setup:
    """The options given, together with all that they leave open."""

    def __init__(self, given: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Raises ArgumentError for an environment variable that cannot be read."""
        self._given = given
        self._environment = environment
        self._csp()

    def value(self, name: str) -> Any:
        """An option's value, or its default."""
        return self._given.get(name, BY_NAME[name].default)

    @property
    def process(self) -> Process:
        """What concerns the process."""
        return Process(
            quiet=self.value("quiet"),
            daemon_pid_file=self.value("daemonpidfile"),
            uptime=self.value("uptime"),
            downtime=self.value("downtime"),
            log_level=0 if self.value("logquiet") else self.value("loglevel"),
            log_file=self.value("logappend") or self.value("logfile"),
            log_append=bool(self.value("logappend")),
            log_colour=self.value("logcolor"),
        )

    @property
    def draws_ports(self) -> bool:
        """Whether a port is left to chance, so that another may be free where one is taken."""
        return not (self.value("asap").port and self.value("enrp").port)

    def config(self, draw: Callable[[int, int], int]) -> Config:
        """The registrar's configuration. ``draw(lowest, highest)`` is a random number. Raises ConfigError."""
        found: dict[str, object] = {option.key: option.default for option in OPTIONS}
        for name, option in BY_NAME.items():
            if option.keys and name not in APART and (name in self._given or name not in PROFILED):
                (key,) = option.keys
                found[key] = self.value(name)
        found |= self._endpoints(draw) | self._groups() | self._rates()
        found["peer"] = tuple(",".join(where.entries()) for where in self.value("peer"))
        found["csp_server"], found["csp_interval"] = self._csp()
        found["log_level"] = LEVELS[self.value("loglevel")]
        found["tcp"] = self._profile is not RSPLIB
        return checked(found, draw(1, 0xFFFFFFFF))

    @property
    def _profile(self) -> Profile:
        profile: Profile = self.value("profile")
        return profile

    def _endpoints(self, draw: Callable[[int, int], int]) -> dict[str, object]:
        """Addresses and ports of both endpoints; ports that are not given differ."""
        taken = {self.value("asap").port, self.value("enrp").port}
        found: dict[str, object] = {}
        for name in ("asap", "enrp"):
            where = self.value(name)
            port = where.port
            while not port or (not where.port and port in taken):
                port = draw(FIRST_PORT, LAST_PORT)
            taken.add(port)
            everywhere = ("0.0.0.0",) if self.value("disable-ipv6") else ("::",)
            found[name] = Where(where.hosts or everywhere, port).entries()
        return found

    def _groups(self) -> dict[str, object]:
        announce, presence = self.value("asapannounce"), self.value("enrpannounce")
        groups: tuple[str, ...] = () if announce is None else announce.entries()
        if announce is ASAP_GROUP and self._profile is not RSPLIB:
            groups = ServerOptions().announce
        if self.value("disable-ipv6"):
            groups = tuple(group for group in groups if not group.startswith("["))
        return {"announce": groups, "enrp_announce": () if presence is None else presence.entries()}

    def _rates(self) -> dict[str, object]:
        """A rate that is given lets so many requests come at once as may come in one second, at least one."""
        resolutions = self.value("maxhrrate") or UNLIMITED
        reports = self.value("maxeurate") or UNLIMITED
        burst = max(1, round(resolutions)) if resolutions != UNLIMITED else Limits().resolution_burst
        return {
            "limit_resolution_rate": resolutions,
            "limit_resolution_burst": burst,
            "limit_report_rate": max(1.0, reports),
        }

    def _csp(self) -> tuple[str, float]:
        """Where reports go, and the seconds between them."""
        server, interval = self.value("cspserver"), self.value("cspinterval")
        if server is None:
            server = self._from_environment("CSP_SERVER", BY_NAME["cspserver"].value) or CSP_SERVER
        if interval is None:
            interval = self._from_environment("CSP_INTERVAL", BY_NAME["cspinterval"].value)
            if interval:
                interval = max(interval, MIN_ENVIRONMENT_INTERVAL)
        if interval is None:
            interval = DEFAULT_CSP_INTERVAL if "cspserver" in self._given else 0.0
        return server.entries()[0], interval

    def _from_environment(self, name: str, value: values.Value | None) -> Any:
        written = self._environment.get(name)
        if not written or value is None:
            return None
        try:
            return value.read(written)
        except ValueError as error:
            raise ArgumentError(f"the environment variable {name} is {written!r}: {error}") from None
