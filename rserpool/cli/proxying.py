"""What the two proxy commands have in common: options with their meaning, the loop, signals, the log."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import uvloop

from rserpool import policies
from rserpool.cli.plugins import load_policies
from rserpool.client import ClientSettings, Node
from rserpool.errors import LocalProtocolError
from rserpool.messages import POLICY_VALUES, Policy
from rserpool.registrar.config import LEVELS, TRANSPORTS, spoken
from rserpool.settings.locator import parse_address
from rserpool.settings.schema import ConfigError, Option, number, options_of
from rserpool.transport.choose import choose

log = logging.getLogger("rserpool.proxy")

FULL = 0xFFFFFFFF
MAX_HANDLE = 255
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What both proxies need to know."""

    pool: str = ""
    """The pool handle."""

    registrar: tuple[str, ...] = ()
    """Registrars, ADDRESS[:PORT],...: port 3863 unless said otherwise. Without any, one is found by multicast."""

    transport: str = "auto"
    """Where SCTP comes from: the kernel's, or usrsctp over UDP with UDP port = SCTP port; auto prefers the kernel."""

    log_level: str = "info"
    """The least important messages to log: debug, info, warning or error."""

    uvloop: bool = True
    """Whether to run on uvloop rather than on plain asyncio; it costs less time per octet."""


CHOICES: Mapping[str, Mapping[str, object]] = {"transport": TRANSPORTS, "log_level": LEVELS}


class Options:
    """The flags of several classes of settings, read off their documented fields."""

    def __init__(self, *classes: Any) -> None:
        self._options: dict[Any, list[Option]] = {cls: options_of(cls, "proxy", CHOICES) for cls in classes}

    def add_to(self, parser: argparse.ArgumentParser, required: Sequence[str]) -> None:
        """A flag for each; those ``required`` have no default."""
        for options in self._options.values():
            for option in options:
                default = "" if option.field in required else f" Default: {spoken(option.default) or 'none'}."
                parser.add_argument(
                    option.flag,
                    dest=option.key,
                    metavar=option.metavar,
                    required=option.field in required,
                    default=argparse.SUPPRESS,
                    help=f"{option.help}{default}".replace("%", "%%"),
                )

    def read(self, cls: type[T], given: Mapping[str, object]) -> T:
        """The settings of one class. Raises LocalProtocolError."""
        values = {
            option.field: option.read(given[option.key], option.flag)
            for option in self._options[cls]
            if option.key in given
        }
        return cls(**values)


def run(common: Common, serve: Callable[["Ending"], Awaitable[Counter[str]]]) -> int:
    """Set up the log and the loop, and serve until a signal asks for the end; 0."""
    logging.basicConfig(
        level=common.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    load_policies(log)

    async def main() -> None:
        counters = await serve(Ending())
        log.info("ended; %s", counted(counters))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if common.uvloop else None) as runner:
        runner.run(main())
    return 0


def counted(counters: Counter[str]) -> str:
    """The counters as a line."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counters.items())) or "nothing happened"


class Ending:
    """SIGTERM or SIGINT asks for the end, a second one for the end at once; SIGUSR1 logs the counters."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self.report: Callable[[], Counter[str]] = Counter
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signal)
        loop.add_signal_handler(signal.SIGUSR1, lambda: log.info("so far: %s", counted(self.report())))

    def _signal(self) -> None:
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()


def node_of(common: Common, **options: Any) -> Node:
    """The node of a proxy. Raises LocalProtocolError or TransportUnavailable."""
    settings = replace(ClientSettings(), **options.pop("settings", {}))
    transport = choose(common.transport)[0] if common.transport != "auto" else None
    return Node(registrars=common.registrar, settings=settings, transport=transport, **options)


def place(text: str, option: str, *, least_port: int = 1) -> tuple[str, int]:
    """ADDRESS:PORT or [IPV6]:PORT, both needed. Raises ConfigError."""
    try:
        host, port = parse_address(text, -1, least_port=least_port)
    except LocalProtocolError as error:
        raise ConfigError(f"{option}: {error}") from None
    if port < 0:
        raise ConfigError(f"{option}: {text!r} has no port")
    return host, port


def parse_policy(text: str) -> Policy:
    """NAME, or NAME:VALUE,... in the order of the policy's values; loads and degradations with a % or a point are
    fractions of the whole. Values that are not given are 0, weights 1. Raises ConfigError."""
    name, _, listed = text.partition(":")
    known = {name: kind for kind, name in policies.BUILT_IN.items()}
    known |= {policy.name: policy.policy_type for policy in policies.registered()}
    if name not in known:
        raise ConfigError(f"--policy: there is no policy {name!r}; known are {', '.join(known)}")
    names = POLICY_VALUES[known[name]]
    given = [part.strip() for part in listed.split(",")] if listed else []
    if len(given) > len(names):
        raise ConfigError(f"--policy: {name} has the values ({', '.join(names)})")
    values = [parse_value(part) for part in given]
    values += [1 if value == "weight" else 0 for value in names[len(given) :]]
    return Policy(policy_type=known[name], values=tuple(values))


def parse_value(text: str) -> int:
    """A 32-bit number, or a fraction of 0xffffffff. Raises ConfigError."""
    try:
        if text.endswith("%"):
            value = round(number(text[:-1]) / 100 * FULL)
        elif "." in text:
            value = round(number(text) * FULL)
        else:
            value = int(text, 0)
    except (ValueError, OverflowError):
        value = -1
    if not 0 <= value <= FULL:
        raise ConfigError(f"--policy: {text!r} is no number from 0 to 0xffffffff and no fraction")
    return value


def required(common: Common) -> None:
    """ConfigError for a pool handle that cannot be one."""
    if not 0 < len(os.fsencode(common.pool)) <= MAX_HANDLE:
        raise ConfigError(f"--pool: a pool handle has 1 to {MAX_HANDLE} octets")
