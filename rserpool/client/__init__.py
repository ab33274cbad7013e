"""Pool elements and pool users for asyncio programs.

async with PoolElement("EchoPool", transport_parameter, registrars=["10.0.0.1"]) as element: ...
async with PoolUser(registrars=["10.0.0.1"]) as user: elements = await user.resolve("EchoPool")
elements = await resolve("EchoPool", registrars=["10.0.0.1"])
"""

from rserpool.client.errors import NoRegistrar, Refused, UnknownPool
from rserpool.client.pool_element import PoolElement
from rserpool.client.pool_user import PoolUser, resolve
from rserpool.resolved import ResolvedElement

__all__ = ["NoRegistrar", "PoolElement", "PoolUser", "Refused", "ResolvedElement", "UnknownPool", "resolve"]
