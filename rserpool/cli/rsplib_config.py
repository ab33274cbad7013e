"""Translates rspregistrar's options into a registrar's configuration and the settings of its process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rserpool.cli import rsplib_values as values
from rserpool.cli.rsplib_options import ASAP_GROUP, BY_NAME
from rserpool.cli.rsplib_values import ArgumentError, Place
from rserpool.model.numbers import CSP_PORT
from rserpool.registrar.config import OPTIONS, Config, build
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RSPLIB, Profile
from rserpool.settings.server import ServerOptions

FIRST_PORT, LAST_PORT = 10_000, 59_999
UNLIMITED = 1e9
"""A rate in requests per second that no pool user reaches."""
MIN_ENVIRONMENT_INTERVAL = 0.25
DEFAULT_CSP_INTERVAL = 0.25
CSP_SERVER = Place(("127.0.0.1",), CSP_PORT)
PROFILED = frozenset({"peerheartbeatcycle", "peermaxtimelastheard", "maxhresitems", "maxbadpereports"})
"""Options whose defaults come from the profile."""
TRANSLATED = frozenset(
    {"asap", "asapannounce", "enrp", "enrpannounce", "peer", "maxhrrate", "maxeurate", "cspserver", "cspinterval"}
    | {"loglevel", "enrpmulticast"}
)
"""Options whose values are translated before they go into the configuration."""
LEAST_LEVELS = ("error", "error", "warning", "info", "info", "debug", "debug", "debug", "debug", "debug")
"""The least severe level that is logged, for each of rsplib's levels. Level 0 turns the log off in rsplib_log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Options of the process rather than of the registrar. Up- and downtime are means in seconds."""

    quiet: bool
    daemon_pid_file: str
    uptime: float
    downtime: float
    log_level: int
    log_file: str
    log_append: bool
    log_colour: bool


class Setup:
    """The options that were given, completed with defaults and the environment."""

    def __init__(self, given: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Raises ArgumentError if an environment variable cannot be read."""
        self._given = given
        self._environment = environment
        self._csp()

    def value(self, name: str) -> Any:
        """An option's value, or its default."""
        return self._given.get(name, BY_NAME[name].default)

    @property
    def process(self) -> ProcessOptions:
        """Options of the process rather than of the registrar."""
        return ProcessOptions(
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
        """True if a port is drawn at random, so that another one can be tried if it is in use."""
        return not (self.value("asap").port and self.value("enrp").port)

    def config(self, draw: Callable[[int, int], int]) -> Config:
        """The registrar's configuration. ``draw(lowest, highest)`` returns a random number. Raises ConfigError."""
        found: dict[str, object] = {option.key: option.default for option in OPTIONS}
        for name, option in BY_NAME.items():
            if option.keys and name not in TRANSLATED and (name in self._given or name not in PROFILED):
                (key,) = option.keys
                found[key] = self.value(name)
        found |= self._endpoints(draw) | self._groups() | self._rates()
        found["peer"] = tuple(",".join(where.entries()) for where in self.value("peer"))
        found["csp_server"], found["csp_interval"] = self._csp()
        found["log_level"] = LEAST_LEVELS[self.value("loglevel")]
        found["tcp"] = self._profile is not RSPLIB
        return build(found, draw(1, 0xFFFFFFFF))

    @property
    def _profile(self) -> Profile:
        profile: Profile = self.value("profile")
        return profile

    def _endpoints(self, draw: Callable[[int, int], int]) -> dict[str, object]:
        """Addresses and ports of both endpoints. Ports that are not given are random and differ."""
        taken = {self.value("asap").port, self.value("enrp").port}
        found: dict[str, object] = {}
        for name in ("asap", "enrp"):
            where = self.value(name)
            port = where.port
            while not port or (not where.port and port in taken):
                port = draw(FIRST_PORT, LAST_PORT)
            taken.add(port)
            everywhere = ("0.0.0.0",) if self.value("disable-ipv6") else ("::",)
            found[name] = Place(where.hosts or everywhere, port).entries()
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
        """Rate limits. The burst of a given rate is the number of requests of one second, at least one."""
        resolutions = self.value("maxhrrate") or UNLIMITED
        reports = self.value("maxeurate") or UNLIMITED
        burst = max(1, round(resolutions)) if resolutions != UNLIMITED else Limits().resolution_burst
        return {
            "limit_resolution_rate": resolutions,
            "limit_resolution_burst": burst,
            "limit_report_rate": max(1.0, reports),
        }

    def _csp(self) -> tuple[str, float]:
        """The receiver of status reports, and the seconds between two reports."""
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
