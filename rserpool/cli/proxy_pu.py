"""``rserpool proxy-pu``: let TCP clients that do not know RSerPool use a pool."""

import argparse
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rserpool.cli.proxying import (
    CommandOptions,
    ProxyOptions,
    check_pool,
    log,
    log_on_sigusr1,
    open_node,
    parse_place,
    run,
)
from rserpool.cli.readiness import notify
from rserpool.cli.stopping import StopRequest
from rserpool.client import PoolUser
from rserpool.proxy.user_proxy import UserProxy, UserProxySettings
from rserpool.proxy.watched_pool import WatchedPool
from rserpool.settings.checks import ConfigError, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """Options for the side of the clients."""

    listen: tuple[str, ...] = ()
    """Addresses that accept clients, [ADDRESS:]PORT,... Without an address: all addresses of this host. Port 0 means
    any free port."""

    cache: float = 30.0
    """Seconds for which a resolved pool is used before the registrar is asked again. It matters only for registrars
    that do not push changes."""

    def __post_init__(self) -> None:
        check_positive(self)


OPTIONS = CommandOptions(ListenOptions, ProxyOptions, UserProxySettings)
REQUIRED = ("listen", "pool")


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "proxy-pu",
        help="let TCP clients that do not know RSerPool use a pool",
        allow_abbrev=False,
        description="Forward each TCP connection to a TCP element of a pool, chosen by the pool's policy. If an "
        "element does not answer, report it to the registrar and try the next one. SIGUSR1 logs the counters. "
        "SIGTERM stops accepting and waits for open connections; a second SIGTERM exits at once.",
    )
    OPTIONS.add_to(parser, REQUIRED)
    parser.set_defaults(run=start)


def start(arguments: argparse.Namespace) -> int:
    """Run the proxy; 0 after an orderly stop."""
    given = vars(arguments)
    options, bounds = OPTIONS.read(ProxyOptions, given), OPTIONS.read(UserProxySettings, given)
    listen_options = OPTIONS.read(ListenOptions, given)
    check_pool(options)
    places = [parse_listen_place(text) for text in listen_options.listen]
    if not places:
        raise ConfigError("--listen: give at least one port")

    async def serve(stop: StopRequest) -> Counter[str]:
        node = open_node(options, listen=False, settings={"stale_cache": listen_options.cache})
        async with node, PoolUser(node=node) as user, WatchedPool(user, options.pool) as pool:
            proxy = UserProxy(pool, bounds)
            log_on_sigusr1(lambda: proxy.counters + Counter({"connections open": proxy.open}))
            for host, port in await proxy.start(places):
                log.info("accepting clients of pool %s at %s port %d", options.pool, host, port)
            notify("READY=1")
            await stop.requested.wait()
            notify("STOPPING=1")
            await proxy.stop(at_once=stop.repeated)
        return proxy.counters

    return run(options, serve)


def parse_listen_place(text: str) -> tuple[str, int]:
    """Read [ADDRESS:]PORT. Raises ConfigError."""
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return "", int(text)
    return parse_place(text, "--listen", least_port=0)
