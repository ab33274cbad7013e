"""Send lines to a pool of echo servers: python echo_client.py [REGISTRAR...] < lines. Kill the server meanwhile."""

import asyncio
import itertools
import sys

from rserpool.client import FailoverEvent, Session, open_session


async def ask(session: Session, request: bytes) -> None:
    await session.send(request)
    while (item := await session.receive()) != request:
        if isinstance(item, FailoverEvent):  # the server that had the request is gone: ask its successor
            await session.send(request)


async def main() -> None:
    async with open_session("EchoPool", registrars=sys.argv[1:], failover="event") as session:
        for number in itertools.count():
            line = await asyncio.to_thread(sys.stdin.buffer.readline)
            if not line:
                break
            await ask(session, b"%d %b" % (number, line))  # numbered, for an answer may come twice
            server = session.element.identifier if session.element else 0
            print(f"0x{server:08x}: {line.decode()}", end="", flush=True)


asyncio.run(main())
