"""Pool elements and pool users for asyncio programs.

async with PoolElement("EchoPool", transport_parameter, registrars=["10.0.0.1"]) as element: ...
async with PoolUser(registrars=["10.0.0.1"]) as user: elements = await user.resolve("EchoPool")
async with Node() as node, PoolElement("EchoPool", transport_parameter, node=node), PoolUser(node=node) as user: ...
elements = await resolve("EchoPool")

Without ``registrars`` they are found by multicast (RFC 5352 3.6).
"""

from rserpool.client.errors import NoElement, NoRegistrar, Overload, Refused, UnknownPool
from rserpool.client.node import Node
from rserpool.client.pool_element import PoolElement
from rserpool.client.pool_user import PoolUser, getaddrinfo, resolve
from rserpool.client.queue import EventsDropped
from rserpool.client_settings import FAST, ClientSettings
from rserpool.protocol.events import ElementState, Home, State
from rserpool.resolved import ResolvedElement

__all__ = [
    "FAST",
    "ClientSettings",
    "ElementState",
    "EventsDropped",
    "Home",
    "NoElement",
    "NoRegistrar",
    "Node",
    "Overload",
    "PoolElement",
    "PoolUser",
    "Refused",
    "ResolvedElement",
    "State",
    "UnknownPool",
    "getaddrinfo",
    "resolve",
]
