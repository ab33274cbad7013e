"""Pool elements and pool users for asyncio programs.

async with PoolElement("EchoPool", transport_parameter, registrars=["10.0.0.1"]) as element: ...
async with PoolUser(registrars=["10.0.0.1"]) as user: elements = await user.resolve("EchoPool")
async with Node() as node, PoolElement("EchoPool", transport_parameter, node=node), PoolUser(node=node) as user: ...
elements = await resolve("EchoPool")
async with open_session("EchoPool") as session: await session.send(b"hello"); answer = await session.receive()
await serve("EchoPool", handler)  # with: async def handler(session): async for item in session: ...

Without ``registrars``, registrars are found by multicast (RFC 5352 3.6).
"""

from rserpool.client.errors import (
    MissingExtra,
    NoElement,
    NoRegistrar,
    Overload,
    Refused,
    SessionClosed,
    SessionFailed,
    UnknownPool,
)
from rserpool.client.event_queue import EventsDropped
from rserpool.client.node import Node
from rserpool.client.pool_element import PoolElement, RegistrationTimes
from rserpool.client.pool_user import PoolUser, getaddrinfo, resolve
from rserpool.client.session.cookie_sealing import Sealer
from rserpool.client.session.items import CookieRejected, Data, Resumed
from rserpool.client.session.pool_socket import PoolSocket, Received, Send
from rserpool.client.session.service import Service, ServiceSession
from rserpool.client.session.serving import serve
from rserpool.client.session.session import FailoverEvent, Session, open_session
from rserpool.client.session.streams import streams
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.client.events import ElementState, ElementStatus, Home
from rserpool.settings.client import FAST, ClientSettings
from rserpool.settings.session import Failover, ServiceSettings, SessionSettings

__all__ = [
    "FAST",
    "ClientSettings",
    "CookieRejected",
    "Data",
    "ElementState",
    "ElementStatus",
    "EventsDropped",
    "Failover",
    "FailoverEvent",
    "Home",
    "MissingExtra",
    "NoElement",
    "NoRegistrar",
    "Node",
    "Overload",
    "PoolElement",
    "PoolSocket",
    "PoolUser",
    "Received",
    "Refused",
    "RegistrationTimes",
    "ResolvedElement",
    "Resumed",
    "Sealer",
    "Send",
    "Service",
    "ServiceSession",
    "ServiceSettings",
    "Session",
    "SessionClosed",
    "SessionFailed",
    "SessionSettings",
    "UnknownPool",
    "getaddrinfo",
    "open_session",
    "resolve",
    "serve",
    "streams",
]
