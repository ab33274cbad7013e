"""``rserpool proxy-pe``: make a TCP server that does not know RSerPool an element of a pool."""

import argparse
import asyncio
import contextlib
import secrets
import socket
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from rserpool.cli.proxying import (
    CommandOptions,
    ProxyOptions,
    check_pool,
    log,
    log_on_sigusr1,
    open_node,
    parse_place,
    parse_policy,
    run,
)
from rserpool.cli.readiness import notify
from rserpool.cli.stopping import StopRequest
from rserpool.messages import POLICY_VALUES, TCPTransport
from rserpool.policies import name_of
from rserpool.proxy.checks import parse_check, parse_command
from rserpool.proxy.element_proxy import ElementProxy, ElementProxySettings
from rserpool.proxy.pool_registration import PoolRegistration
from rserpool.settings.checks import LARGEST_NUMBER, ConfigError, check_positive, check_range
from rserpool.settings.locator import parse_address


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Options that describe the server and its registration."""

    target: str = ""
    """Address at which the server is checked, ADDRESS:PORT."""

    advertise: str = ""
    """Address at which users reach the server, ADDRESS[:PORT], with the target's port by default. It must be an address
    of this host from which the registrar is reached: the registrar accepts no other (RFC 5352 2.2.1). If unset, the
    target's address, or the one from which the first registrar is reached if the target is on the loopback
    interface."""

    check: str = "tcp"
    """How to check the server: tcp (it accepts a connection), http or http=/PATH (GET returns a status from 200 to
    399), command=COMMAND (it exits with status 0), or none (the server always counts as up)."""

    policy: str = ""
    """The pool's policy, NAME or NAME:VALUE,...: round-robin, weighted-round-robin:3, priority:10, least-used, ...
    Loads may be fractions (0.25) or percentages. If unset, round-robin, or least-used with a load command."""

    load_command: str = ""
    """Command that prints the load, 0 to 1 or a percentage with its sign; it runs every load_interval. If unset, no
    load is reported."""

    identifier: int = 0
    """The pool element identifier, decimal or 0x hexadecimal. 0 draws a random one."""

    life: float = 300.0
    """Registration life in seconds: the registrar drops a registration that is not renewed for this long."""

    def __post_init__(self) -> None:
        check_range(self, ("identifier",), 0, LARGEST_NUMBER)
        check_positive(self, ("life",))


OPTIONS = CommandOptions(TargetOptions, ProxyOptions, ElementProxySettings)
REQUIRED = ("target", "pool")


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "proxy-pe",
        help="make a TCP server that does not know RSerPool an element of a pool",
        allow_abbrev=False,
        description="Register a TCP server in a pool while checks find it up. Users connect to the server itself. "
        "SIGUSR1 logs the counters; SIGTERM deregisters the server and exits.",
    )
    OPTIONS.add_to(parser, REQUIRED)
    parser.set_defaults(run=start)


def start(arguments: argparse.Namespace) -> int:
    """Run the proxy; 0 after an orderly stop."""
    given = vars(arguments)
    options, watching = OPTIONS.read(ProxyOptions, given), OPTIONS.read(ElementProxySettings, given)
    target_options = OPTIONS.read(TargetOptions, given)
    check_pool(options)
    host, port = parse_place(target_options.target, "--target")
    check = parse_check(target_options.check, host, port)
    command = parse_command(target_options.load_command, "--load-command") if target_options.load_command else ()
    advertised, advertised_port = parse_advertised(target_options.advertise, port)

    async def serve(stop: StopRequest) -> Counter[str]:
        policy = parse_policy(target_options.policy or ("least-used" if command else "round-robin"))
        if command and "load" not in POLICY_VALUES[policy.policy_type]:
            raise ConfigError(f"--load-command: policy {name_of(policy.policy_type)} has no load; choose least-used")
        target = ip_address(host)
        preferred = () if target.is_loopback or target.is_unspecified else (target,)
        async with open_node(options, local=advertised or None, preferred=preferred) as node:
            if not node.takes_elements:
                raise ConfigError("--registrar: a pool element needs SCTP (RFC 5352 2.1); remove the prefix tcp:")
            address = ip_address(advertised) if advertised else node.local_addresses[0]
            identifier = target_options.identifier or secrets.randbelow(LARGEST_NUMBER) + 1
            log.info(
                "element 0x%08x of pool %s: users connect to %s port %d",
                identifier, options.pool, address, advertised_port,
            )  # fmt: skip
            transport = TCPTransport(port=advertised_port, address=address)
            registration = PoolRegistration(
                node, options.pool, transport, policy, identifier=identifier, life=target_options.life
            )
            proxy = ElementProxy(registration, watching, check, command)
            log_on_sigusr1(lambda: proxy.counters)
            await run_until_stopped(proxy, stop)
        return proxy.counters

    return run(options, serve)


async def run_until_stopped(proxy: ElementProxy, stop: StopRequest) -> None:
    """Run the proxy until a signal arrives or it ends by itself."""
    running = asyncio.create_task(proxy.run())
    stopping = asyncio.create_task(stop.requested.wait())
    notify("READY=1")
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    notify("STOPPING=1")
    stopping.cancel()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def parse_advertised(text: str, port: int) -> tuple[str, int]:
    """The address to register, or "" if none is given, and the port. Raises ConfigError unless the address belongs to
    this host."""
    if not text:
        return "", port
    host, port = parse_address(text, port)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        raise ConfigError(
            f"--advertise: {host} is not an address of this host; the registrar accepts only addresses of the sender"
        ) from None
    if ip_address(host).is_unspecified or ip_address(host).is_multicast:
        raise ConfigError(f"--advertise: users cannot connect to {host}; give a unicast address of this host")
    return host, port
