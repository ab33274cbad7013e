"""Download a file from a pool, with failover: python download_client.py NAME TARGET [REGISTRAR...]."""

import asyncio
import sys
from pathlib import Path

from rserpool.client import Data, FailoverEvent, open_session


async def main(name: str, target: Path, registrars: list[str]) -> None:
    async with open_session("DownloadPool", registrars=registrars, failover="event") as session:
        await session.send(name.encode())
        with target.open("wb") as file:
            async for item in session:
                match item:
                    case FailoverEvent(had_cookie=had_cookie, unsent=unsent):
                        print(f"0x{item.new.identifier:08x} continues at {file.tell()} octets", flush=True)
                        if not had_cookie and not unsent:  # the request was lost: send it again
                            await session.send(name.encode())
                    case Data() if len(item) > 8:
                        file.seek(int.from_bytes(item[:8], "big"))  # a block that arrives twice is written twice
                        file.write(item[8:])
                    case Data():
                        break
        print(f"{target}: {target.stat().st_size} octets, {session.failovers} failovers")


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
