"""Send lines to a pool of echo servers: python echo_client.py [REGISTRAR...]. Kill a server to see a failover."""

import asyncio
import itertools
import sys

from rserpool.client import FailoverEvent, Session, open_session


async def ask(session: Session, request: bytes) -> None:
    await session.send(request)
    while (item := await session.receive()) != request:
        if isinstance(item, FailoverEvent):  # the old server failed: ask the new one
            await session.send(request)


async def main() -> None:
    async with open_session("EchoPool", registrars=sys.argv[1:], failover="event") as session:
        for number in itertools.count():
            line = await asyncio.to_thread(sys.stdin.buffer.readline)
            if not line:
                break
            await ask(session, b"%d %b" % (number, line))  # numbered, because an answer may arrive twice
            server = session.element.identifier if session.element else 0
            print(f"0x{server:08x}: {line.decode()}", end="", flush=True)


asyncio.run(main())
