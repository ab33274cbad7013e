"""The registrar's configuration: defaults, then a TOML file, then the environment, then the command line."""

import argparse
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rserpool.model.addresses import Scope
from rserpool.settings.limits import Limits
from rserpool.settings.locator import ASAP_GROUPS
from rserpool.settings.profile import PROFILES
from rserpool.settings.registrar import Settings
from rserpool.settings.schema import ConfigError, Option, options_of

MAX_IDENTIFIER = 0xFFFFFFFF
MAX_MODERATION = 0.01
"""Seconds. The timers of SCTP have this resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What concerns the process rather than the protocol."""

    identifier: int = 0
    """The server identifier, decimal or 0x hexadecimal; 0 draws a random one (RFC 5353 3.2.1)."""

    transport: str = "auto"
    """Where SCTP comes from: the kernel's, or usrsctp over UDP with UDP port = SCTP port; auto prefers the kernel."""

    asap: tuple[str, ...] = ()
    """Addresses at which pool elements and users are served, ADDRESS[:PORT],...: all of one port, 3863 unless said
    otherwise, 0 for any free one. None means every address of this host that reaches as far as the address scope."""

    enrp: tuple[str, ...] = ()
    """Addresses at which peer registrars are met, ADDRESS[:PORT],...: all of one port, 9901 unless said otherwise, 0
    for any free one. None means the addresses at which ASAP is served; ``off`` means a registrar that stays alone."""

    peer: tuple[str, ...] = ()
    """Peer registrars to meet, ADDRESS[:PORT],...: their ENRP addresses, port 9901 unless said otherwise. Others are
    found through them, and by multicast where that is on. In a TOML list, an entry with commas has several addresses
    of one peer."""

    enrp_announce: tuple[str, ...] = ("239.0.0.51:9901",)
    """Multicast groups to which presences go and at which peers are found, ADDRESS[:PORT],...: rsplib's. Only where the
    profile has multicast presences; the empty list turns them off."""

    tcp: bool = True
    """Whether pool users are also served over TCP, at the same addresses and port (RFC 5352 2.1)."""

    announce: tuple[str, ...] = ASAP_GROUPS
    """Multicast groups to which the registrar announces itself, ADDRESS[:PORT],...: IANA's and rsplib's. Elements and
    users that listen to them need no configured registrar. They leave by the interfaces of the addresses served;
    the empty list turns them off."""

    announce_ttl: int = 30
    """Hops that an announcement may travel (the IPv4 TTL and IPv6 hop limit), 1 to 255."""

    idle_timeout: float = 0.0
    """Seconds after which an association is closed over which no message came or went; 0 keeps them. Keep-alives are
    messages: what holds a pool element is never idle. At most a quarter longer."""

    stats_file: str = ""
    """A file for statistics, a line of rsplib's columns every stats_interval: sizes now, totals since the start. With a
    name that ends in .bz2 it is compressed. None if unset."""

    stats_interval: float = 0.0
    """Seconds between two lines of the statistics; 0 writes one at the end."""

    action_log_file: str = ""
    """A file for a line about each ASAP and ENRP message sent or received, in rsplib's columns. With a name that ends
    in .bz2 it is compressed. It costs about as much time as serving does. None if unset."""

    scalar_file: str = ""
    """A file for the totals and time averages of the whole run, written at the end. None if unset."""

    object_name: str = "registrar"
    """What the registrar is called in the scalar file."""

    csp_server: str = "127.0.0.1:2960"
    """Where status reports of the Component Status Protocol go over UDP, ADDRESS[:PORT], port 2960 unless said
    otherwise: rsplib's cspmonitor shows them."""

    csp_interval: float = 0.0
    """Seconds between two status reports; 0 sends none."""

    log_level: str = "info"
    """The least important messages to log: debug, info, warning or error."""

    moderation: float = 0.00025
    """Seconds between two wake-ups where over 5000 messages a second come, hardly any of them from who awaits an answer
    to go on: several are served at once then, which costs less time per message. 0 never lets a message wait."""

    uvloop: bool = True
    """Whether to run on uvloop rather than on plain asyncio; it costs less time per message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A registrar's whole configuration, checked."""

    server: ServerOptions = field(default_factory=ServerOptions)
    settings: Settings


TRANSPORTS = {name: name for name in ("auto", "kernel", "usrsctp")}
LEVELS = {name: name for name in ("debug", "info", "warning", "error")}
SCOPES = {"loopback": Scope.LOOPBACK, "site-local": Scope.SITE_LOCAL, "global": Scope.GLOBAL}
SECTIONS = ("registrar", "limits")

OPTIONS: tuple[Option, ...] = (
    *options_of(ServerOptions, "registrar", {"transport": TRANSPORTS, "log_level": LEVELS}),
    *(
        option
        for option in options_of(Settings, "registrar", {"profile": PROFILES, "address_scope": SCOPES})
        if option.field not in ("identifier", "identifier_drawn")
    ),
    *options_of(Limits, "limits", {}),
)


def spoken(value: object) -> str:
    """A default as help and TOML show it."""
    for named in (PROFILES, SCOPES):
        for name, choice in named.items():
            if value is choice or (isinstance(value, Scope) and value == choice):
                return name
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each option, grouped by section."""
    groups = {section: parser.add_argument_group(section) for section in SECTIONS}
    for option in OPTIONS:
        default = spoken(option.default) or "none"
        help_text = f"{option.help} Default: {default}.".replace("%", "%%")
        groups[option.section].add_argument(
            option.flag, dest=option.key, metavar=option.metavar, default=argparse.SUPPRESS, help=help_text
        )


def from_toml(path: Path) -> dict[str, object]:
    """The options that a TOML file sets, by key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    known = {(option.section, option.field): option for option in OPTIONS}
    found: dict[str, object] = {}
    for section, entries in document.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise ConfigError(f"{path}: there is no section [{section}]; known are {', '.join(SECTIONS)}")
        for name, value in entries.items():
            option = known.get((section, name))
            if option is None:
                raise ConfigError(f"{path}: [{section}] has no option {name}")
            found[option.key] = option.read(value, f"{path}: {name}")
    return found


def load(flags: Mapping[str, object], environment: Mapping[str, str], path: Path | None, draw: int) -> Config:
    """The configuration that results from all sources. ``draw`` is the identifier to take where none is set.
    Raises ConfigError."""
    values: dict[str, object] = {option.key: option.default for option in OPTIONS}
    if path is not None:
        values.update(from_toml(path))
    for option in OPTIONS:
        if option.environment in environment:
            values[option.key] = option.read(environment[option.environment], option.environment)
        if option.key in flags:
            values[option.key] = option.read(flags[option.key], option.flag)
    return checked(values, draw)


def checked(values: Mapping[str, object], draw: int) -> Config:
    """Build the configuration and check what one option alone cannot."""

    def part(cls: Any, section: str) -> dict[str, Any]:
        names = {field.name for field in fields(cls)}
        return {
            option.field: values[option.key]
            for option in OPTIONS
            if option.section == section and option.field in names
        }

    server = ServerOptions(**part(ServerOptions, "registrar"))
    if not 0 <= server.identifier <= MAX_IDENTIFIER:
        raise ConfigError("--identifier: a server identifier is a number from 1 to 0xffffffff, or 0 for a random one")
    if not 1 <= server.announce_ttl <= 255:
        raise ConfigError("--announce-ttl: hops are a number from 1 to 255")
    for name in ("idle_timeout", "stats_interval", "csp_interval"):
        if not getattr(server, name) >= 0:
            raise ConfigError(f"--{name.replace('_', '-')}: seconds are not negative")
    if not 0 <= server.moderation <= MAX_MODERATION:
        raise ConfigError(f"--moderation: seconds from 0 to {MAX_MODERATION}")
    settings = part(Settings, "registrar")
    settings |= {"identifier": server.identifier or draw, "identifier_drawn": not server.identifier}
    return Config(server=server, settings=Settings(**settings, limits=Limits(**part(Limits, "limits"))))
