"""``rserpool proxy-pe``: let a TCP server that knows of no pools be an element of one."""

import argparse
import asyncio
import contextlib
import secrets
import socket
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from rserpool.cli.proxying import Common, Ending, Options, log, node_of, parse_policy, place, required, run
from rserpool.cli.readiness import notify
from rserpool.messages import POLICY_VALUES, TCPTransport
from rserpool.policies import name_of
from rserpool.proxy.checks import parse_check, parse_command
from rserpool.proxy.element_proxy import ElementProxy, Watching
from rserpool.proxy.pool_registration import PoolRegistration
from rserpool.settings.locator import parse_address
from rserpool.settings.schema import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The server, and what is said of it."""

    target: str = ""
    """Where the server is checked, ADDRESS:PORT."""

    advertise: str = ""
    """Where users reach the server, ADDRESS[:PORT]: an address of this host from which the registrar is reached, for it
    accepts no other (RFC 5352 2.2.1), and the target's port unless said otherwise. Unset, it is the address from which
    the first registrar is reached, or the target's where that is one."""

    check: str = "tcp"
    """How to find out whether the server is up: tcp (it accepts a connection), http or http=/PATH (GET has a status
    from 200 to 399), command=COMMAND (it ends with status 0), none (it always is)."""

    policy: str = ""
    """The pool's policy, NAME or NAME:VALUE,...: round-robin, weighted-round-robin:3, priority:10, least-used, ...
    Loads may be fractions (0.25) or percentages. Unset, it is round-robin, or least-used with a load command."""

    load_command: str = ""
    """A command that prints the load, 0 to 1 or a percentage with its sign, asked every load_interval. None if
    unset."""

    identifier: int = 0
    """The pool element identifier, decimal or 0x hexadecimal; 0 draws a random one."""

    life: float = 300.0
    """Seconds after which the registration ends that is not renewed."""


OPTIONS = Options(Serving, Common, Watching)
REQUIRED = ("target", "pool")


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "proxy-pe",
        help="let a TCP server that knows of no pools be an element of one",
        allow_abbrev=False,
        description="Register a TCP server in a pool while checks find it up; users connect to the server itself. "
        "SIGUSR1 logs the counters; SIGTERM deregisters the server and ends.",
    )
    OPTIONS.add_to(parser, REQUIRED)
    parser.set_defaults(run=start)


def start(arguments: argparse.Namespace) -> int:
    """Run the proxy; 0 after a clean end."""
    given = vars(arguments)
    common, watching = OPTIONS.read(Common, given), OPTIONS.read(Watching, given)
    serving = OPTIONS.read(Serving, given)
    required(common)
    host, port = place(serving.target, "--target")
    check = parse_check(serving.check, host, port)
    command = parse_command(serving.load_command, "--load-command") if serving.load_command else ()
    if not 0 <= serving.identifier <= 0xFFFFFFFF:
        raise ConfigError("--identifier: a pool element identifier is a number from 1 to 0xffffffff, or 0")
    if not serving.life > 0:
        raise ConfigError("--life: seconds are more than 0")
    advertised, advertised_port = advertisement(serving.advertise, port)

    async def serve(ending: Ending) -> Counter[str]:
        policy = parse_policy(serving.policy or ("least-used" if command else "round-robin"))
        if command and "load" not in POLICY_VALUES[policy.policy_type]:
            raise ConfigError(f"--load-command: policy {name_of(policy.policy_type)} has no load")
        target = ip_address(host)
        preferred = () if target.is_loopback or target.is_unspecified else (target,)
        async with node_of(common, local=advertised or None, preferred=preferred) as node:
            address = ip_address(advertised) if advertised else node.local_addresses[0]
            identifier = serving.identifier or secrets.randbelow(0xFFFFFFFF) + 1
            log.info("0x%08x is to serve pool %s at %s port %d", identifier, common.pool, address, advertised_port)
            transport = TCPTransport(port=advertised_port, address=address)
            registration = PoolRegistration(
                node, common.pool, transport, policy, identifier=identifier, life=serving.life
            )
            proxy = ElementProxy(registration, watching, check, command)
            ending.report = lambda: proxy.counters
            running = asyncio.create_task(proxy.run())
            asked = asyncio.create_task(ending.asked.wait())
            notify("READY=1")
            await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
            notify("STOPPING=1")
            asked.cancel()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return proxy.counters

    return run(common, serve)


def advertisement(text: str, port: int) -> tuple[str, int]:
    """The address to register, which must be this host's, and the port; no address for none given. Raises
    ConfigError."""
    if not text:
        return "", port
    host, port = parse_address(text, port)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        raise ConfigError(
            f"--advertise: {host} is no address of this host; the registrar accepts only one from which it is reached"
        ) from None
    if ip_address(host).is_unspecified or ip_address(host).is_multicast:
        raise ConfigError(f"--advertise: nobody can connect to {host}")
    return host, port
