"""An echo server in a pool: python echo_server.py [REGISTRAR...]. Start several; SIGTERM deregisters one."""

import asyncio
import sys

from rserpool.client import Data, ServiceSession, serve


async def echo(session: ServiceSession) -> None:
    async for item in session:
        if isinstance(item, Data):
            await session.send(item, item.ppid)


asyncio.run(serve("EchoPool", echo, registrars=sys.argv[1:]))
