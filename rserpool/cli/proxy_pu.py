"""``rserpool proxy-pu``: let TCP clients that know of no pools use one."""

import argparse
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rserpool.cli.proxying import Common, Ending, Options, log, node_of, place, required, run
from rserpool.cli.readiness import notify
from rserpool.client import PoolUser
from rserpool.proxy.user_proxy import Bounds, UserProxy
from rserpool.proxy.watched_pool import WatchedPool
from rserpool.settings.schema import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where clients come."""

    listen: tuple[str, ...] = ()
    """Where clients are accepted, [ADDRESS:]PORT,...: without an address at all addresses of this host; port 0 for any
    free one."""

    cache: float = 30.0
    """Seconds for which the elements known are used before the registrar is asked again. It also tells of changes by
    itself where it can, so this matters where it cannot."""


OPTIONS = Options(Listening, Common, Bounds)
REQUIRED = ("listen", "pool")


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "proxy-pu",
        help="let TCP clients that know of no pools use one",
        allow_abbrev=False,
        description="Forward each TCP connection to an element of a pool that serves TCP, chosen by the pool's policy. "
        "An element that does not answer is reported to the registrar, and the next one is tried. SIGUSR1 logs the "
        "counters; SIGTERM ends it once its connections have ended, a second one at once.",
    )
    OPTIONS.add_to(parser, REQUIRED)
    parser.set_defaults(run=start)


def start(arguments: argparse.Namespace) -> int:
    """Run the proxy; 0 after a clean end."""
    given = vars(arguments)
    common, bounds = OPTIONS.read(Common, given), OPTIONS.read(Bounds, given)
    listening = OPTIONS.read(Listening, given)
    required(common)
    places = [listen_place(text) for text in listening.listen]
    if not places:
        raise ConfigError("--listen: there is no port")
    if not listening.cache > 0:
        raise ConfigError("--cache: seconds are more than 0")

    async def serve(ending: Ending) -> Counter[str]:
        node = node_of(common, listen=False, settings={"stale_cache": listening.cache})
        async with node, PoolUser(node=node) as user, WatchedPool(user, common.pool) as pool:
            proxy = UserProxy(pool, bounds)
            ending.report = lambda: proxy.counters + Counter({"connections open": proxy.open})
            for host, port in await proxy.start(places):
                log.info("clients of pool %s are accepted at %s port %d", common.pool, host, port)
            notify("READY=1")
            await ending.asked.wait()
            notify("STOPPING=1")
            await proxy.stop(at_once=ending.at_once)
        return proxy.counters

    return run(common, serve)


def listen_place(text: str) -> tuple[str, int]:
    """[ADDRESS:]PORT. Raises ConfigError."""
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return "", int(text)
    return place(text, "--listen", least_port=0)
