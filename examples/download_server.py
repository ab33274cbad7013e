"""A file server in a pool: python download_server.py DIRECTORY [REGISTRAR...]. All servers have the same files.

A request is a file name. The answer is a sequence of blocks: 8 octets with the offset, then data; the last block has no
data. The cookie holds the current offset, so that another server can continue from there.
"""

import asyncio
import sys
from pathlib import Path

from rserpool.client import Data, Resumed, ServiceSession, serve

DIRECTORY, BLOCK = Path(sys.argv[1]), 16_384


async def send_file(session: ServiceSession, name: str, offset: int) -> None:
    with (DIRECTORY / Path(name).name).open("rb") as file:
        file.seek(offset)
        while block := file.read(BLOCK):
            session.cookie = f"{offset} {name}".encode()
            await session.send(offset.to_bytes(8, "big") + block)
            offset += len(block)
    await session.send(offset.to_bytes(8, "big"))


async def download(session: ServiceSession) -> None:
    async for item in session:
        match item:
            case Data():
                await send_file(session, item.decode(), 0)
            case Resumed():
                offset, _, name = item.cookie.decode().partition(" ")
                await send_file(session, name, int(offset))


asyncio.run(serve("DownloadPool", download, registrars=sys.argv[2:]))
