"""``rserpool resolve``: print the elements of a pool."""

import argparse
import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Any

from rserpool.cli.plugins import load_policies
from rserpool.client import ClientSettings, PoolUser, ResolvedElement, resolve
from rserpool.model.numbers import MAX_POOL_HANDLE
from rserpool.policies import name_of
from rserpool.settings.checks import LARGEST_NUMBER, check
from rserpool.settings.profile import ALL_ITEMS


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "resolve",
        help="print the elements of a pool",
        description="Ask a registrar for the elements of a pool and print one line each, best first: identifier, "
        "protocol, addresses, port, policy and its values. Without --registrar, find a registrar by multicast.",
    )
    parser.add_argument("handle", metavar="POOL-HANDLE")
    parser.add_argument(
        "--registrar",
        action="append",
        default=[],
        metavar="ADDRESS[:PORT]",
        help="a registrar to ask, with port 3863 by default; tcp:ADDRESS[:PORT] uses TCP; repeat the option for "
        "several registrars",
    )
    parser.add_argument(
        "--items",
        type=int,
        default=ALL_ITEMS,
        metavar="NUMBER",
        help="largest number of elements (default: all)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=ClientSettings().request_timeout,
        metavar="SECONDS",
        help="how long to wait for an answer (default: %(default)g)",
    )
    parser.add_argument("--watch", action="store_true", help="print the pool again after every change, until Ctrl-C")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Resolve the pool and print it; 0 if it exists."""
    check(
        0 < len(os.fsencode(arguments.handle)) <= MAX_POOL_HANDLE,
        "POOL-HANDLE",
        f"must have 1 to {MAX_POOL_HANDLE} octets",
    )
    check(arguments.timeout > 0, "--timeout", "must be more than 0 seconds")
    check(0 < arguments.items <= LARGEST_NUMBER, "--items", "must be a number from 1 to 0xffffffff")
    load_policies(logging.getLogger("rserpool.client"))
    if arguments.watch:
        asyncio.run(watch(arguments))
    else:
        show(
            asyncio.run(
                resolve(
                    arguments.handle, registrars=arguments.registrar, items=arguments.items, timeout=arguments.timeout
                )
            )
        )
    return 0


async def watch(arguments: argparse.Namespace) -> None:
    """Print the pool now and after every change, each time followed by an empty line."""
    async with PoolUser(registrars=arguments.registrar) as user:
        async for elements in user.watch(arguments.handle):
            show(elements)
            print(flush=True)


def show(elements: Iterable[ResolvedElement]) -> None:
    """Print one line for each element."""
    for element in elements:
        addresses = ",".join(map(str, element.addresses))
        policy = name_of(element.policy.policy_type)
        values = " ".join(f"{value:#x}" for value in element.policy.values)
        print(f"0x{element.identifier:08x} {element.protocol} {addresses} {element.port} {policy} {values}".rstrip())
