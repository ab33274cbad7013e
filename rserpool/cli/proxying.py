"""Shared by the two proxy commands: their common options, event loop, signals, log, and how they read a policy."""

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
from rserpool.cli.stopping import StopRequest
from rserpool.client import ClientSettings, Node
from rserpool.errors import LocalProtocolError
from rserpool.messages import POLICY_VALUES, Policy
from rserpool.model.numbers import MAX_POOL_HANDLE
from rserpool.settings.checks import LARGEST_NUMBER, ConfigError
from rserpool.settings.choices import LOG_LEVELS, TRANSPORTS
from rserpool.settings.locator import parse_address
from rserpool.settings.schema import Option, add_flag, number, options_of
from rserpool.transport.choose import choose

log = logging.getLogger("rserpool.proxy")

T = TypeVar("T")
Serve = Callable[[StopRequest], Awaitable[Counter[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """Options of both proxies."""

    pool: str = ""
    """The pool handle."""

    registrar: tuple[str, ...] = ()
    """Registrars, ADDRESS[:PORT],..., with port 3863 by default. Without any, the proxy finds one by multicast."""

    transport: str = "auto"
    """The SCTP implementation: ``kernel``, or ``usrsctp`` over UDP with UDP port = SCTP port. ``auto`` uses the
    kernel's SCTP if there is one."""

    log_level: str = "info"
    """Least severe level to log: debug, info, warning or error."""

    uvloop: bool = True
    """Use uvloop instead of plain asyncio; it costs less CPU time per octet."""


CHOICES: Mapping[str, Mapping[str, object]] = {"transport": TRANSPORTS, "log_level": LOG_LEVELS}


class CommandOptions:
    """The flags of one command, taken from the documented fields of several settings classes."""

    def __init__(self, *classes: Any) -> None:
        self._options: dict[Any, list[Option]] = {cls: options_of(cls, "proxy", CHOICES) for cls in classes}

    def add_to(self, parser: argparse.ArgumentParser, required: Sequence[str]) -> None:
        """Add one flag for each option; the fields in ``required`` must be given."""
        for options in self._options.values():
            for option in options:
                add_flag(parser, option, required=option.field in required)

    def read(self, cls: type[T], given: Mapping[str, object]) -> T:
        """The settings of one class. Raises LocalProtocolError."""
        values = {
            option.field: option.read(given[option.key], option.flag)
            for option in self._options[cls]
            if option.key in given
        }
        return cls(**values)


def run(options: ProxyOptions, serve: Serve) -> int:
    """Set up the log and the loop, then run ``serve`` until a signal stops it; it returns its counters. Returns 0."""
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    load_policies(log)

    async def main() -> None:
        counters = await serve(StopRequest())
        log.info("stopped; %s", counted(counters))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if options.uvloop else None) as runner:
        runner.run(main())
    return 0


def log_on_sigusr1(counters: Callable[[], Counter[str]]) -> None:
    """Log the counters at every SIGUSR1."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: log.info("counters: %s", counted(counters())))


def counted(counters: Counter[str]) -> str:
    """The counters as one line."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counters.items())) or "nothing happened"


def open_node(options: ProxyOptions, **node_options: Any) -> Node:
    """The node of a proxy. Raises LocalProtocolError or TransportUnavailable."""
    settings = replace(ClientSettings(), **node_options.pop("settings", {}))
    transport = choose(options.transport)[0] if options.transport != "auto" else None
    return Node(registrars=options.registrar, settings=settings, transport=transport, **node_options)


def parse_place(text: str, option: str, *, least_port: int = 1) -> tuple[str, int]:
    """Read ADDRESS:PORT or [IPV6]:PORT; the port is required. Raises ConfigError."""
    try:
        host, port = parse_address(text, -1, least_port=least_port)
    except LocalProtocolError as error:
        raise ConfigError(f"{option}: {error}") from None
    if port < 0:
        raise ConfigError(f"{option}: {text!r} has no port; write ADDRESS:PORT")
    return host, port


def parse_policy(text: str) -> Policy:
    """Read NAME or NAME:VALUE,..., with the values in the policy's order. A value with a % sign or a decimal point is a
    fraction of the largest value. Missing values are 0, missing weights 1. Raises ConfigError."""
    name, _, listed = text.partition(":")
    known = {name: kind for kind, name in policies.BUILT_IN.items()}
    known |= {policy.name: policy.policy_type for policy in policies.registered()}
    if name not in known:
        raise ConfigError(f"--policy: unknown policy {name!r}; choose one of {', '.join(known)}")
    names = POLICY_VALUES[known[name]]
    given = [part.strip() for part in listed.split(",")] if listed else []
    if len(given) > len(names):
        takes = f"takes only {', '.join(names)}" if names else "takes no values"
        raise ConfigError(f"--policy: {name} {takes}")
    values = [parse_value(part) for part in given]
    values += [1 if value == "weight" else 0 for value in names[len(given) :]]
    return Policy(policy_type=known[name], values=tuple(values))


def parse_value(text: str) -> int:
    """Read a 32-bit number, or a fraction of the largest one. Raises ConfigError."""
    try:
        if text.endswith("%"):
            value = round(number(text[:-1]) / 100 * LARGEST_NUMBER)
        elif "." in text:
            value = round(number(text) * LARGEST_NUMBER)
        else:
            value = int(text, 0)
    except (ValueError, OverflowError):
        value = -1
    if not 0 <= value <= LARGEST_NUMBER:
        raise ConfigError(f"--policy: {text!r} must be a number from 0 to 0xffffffff, a percentage or a fraction")
    return value


def check_pool(options: ProxyOptions) -> None:
    """Raise ConfigError if the pool handle has a bad length."""
    if not 0 < len(os.fsencode(options.pool)) <= MAX_POOL_HANDLE:
        raise ConfigError(f"--pool: a pool handle has 1 to {MAX_POOL_HANDLE} octets")
