"""``rserpool resolve``: ask a registrar for the elements of a pool."""

import argparse
import asyncio
from typing import Any

from rserpool.client import resolve
from rserpool.client.pool_user import T1_REQUEST
from rserpool.policies import name_of
from rserpool.profile import ALL_ITEMS


def add_parser(commands: Any) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "resolve",
        help="show the elements of a pool",
        description="Ask a registrar for the elements of a pool and print them, best first, a line each: identifier, "
        "protocol, addresses and port, policy with its values.",
    )
    parser.add_argument("handle", metavar="POOL-HANDLE")
    parser.add_argument(
        "--registrar",
        action="append",
        required=True,
        metavar="ADDRESS[:PORT]",
        help="a registrar to ask, port 3863 unless said otherwise; may be given several times",
    )
    parser.add_argument("--items", type=int, default=ALL_ITEMS, metavar="NUMBER", help="how many; all if unset")
    parser.add_argument(
        "--timeout", type=float, default=T1_REQUEST, metavar="SECONDS", help="how long to wait (default: %(default)g)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Resolve and print; 0 if the pool exists."""
    elements = asyncio.run(
        resolve(arguments.handle, registrars=arguments.registrar, items=arguments.items, timeout=arguments.timeout)
    )
    for element in elements:
        addresses = ",".join(map(str, element.addresses))
        policy = name_of(element.policy.policy_type)
        values = " ".join(f"{value:#x}" for value in element.policy.values)
        print(f"0x{element.identifier:08x} {element.protocol} {addresses} {element.port} {policy} {values}".rstrip())
    return 0
