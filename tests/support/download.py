"""A file service and its user, written with the library, for tests that kill any part of it.

``python -m tests.support.download element|user --registrar=A:P ...``. Each line of output is a JSON object with an
event and its time (seconds of the monotonic clock, the same in all processes).

The user asks for a file by name and size; the element streams it in pieces that carry their offset. Its cookie is the
name, the size and the next offset, so that another element continues there, and the user drops what it has already.
"""

import argparse
import asyncio
import hashlib
import json
import struct
import time
from collections.abc import Iterator

from rserpool.client import (
    FAST,
    Data,
    ElementStatus,
    FailoverEvent,
    PoolElement,
    PoolUser,
    RegistrationTimes,
    Resumed,
    Sealer,
    ServiceSession,
    Session,
    open_session,
    serve,
)

POOL = "DownloadPool"
NAME = b"pseudo-random"
PPID = 0x1234
PIECE = 32 << 10
"""Octets of the file in one message."""
COOKIE_EVERY = 8
"""Messages from one cookie to the next."""
REQUEST = struct.Struct(">QQ")
"""Size and first offset; the name follows. The cookie is one too."""
OFFSET = struct.Struct(">Q")
KEYS = {1: bytes(range(32))}
TOLD = 0.1
"""The shortest stall that is printed, in seconds; stalls with a failover are printed always."""


def pieces(name: bytes, size: int, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The pieces of a file from an offset on, a multiple of PIECE: pseudo-random octets derived from the name."""
    while offset < size:
        length = min(PIECE, size - offset)
        yield offset, hashlib.shake_128(b"%b %d" % (name, offset)).digest(length)
        offset += length


def digest(name: bytes, size: int) -> str:
    """The SHA-256 of the whole file."""
    whole = hashlib.sha256()
    for _, piece in pieces(name, size):
        whole.update(piece)
    return whole.hexdigest()


def tell(what: str, **values: object) -> None:
    """Print one line of output."""
    print(json.dumps({"what": what, "at": time.monotonic(), **values}), flush=True)


async def stream(session: ServiceSession, request: bytes, rate: float) -> None:
    """Send a file from the requested offset, at so many octets per second."""
    size, first = REQUEST.unpack_from(request)
    name = request[REQUEST.size :]
    session.cookie = request
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, (offset, piece) in enumerate(pieces(name, size, first), 1):
        await session.send(OFFSET.pack(offset) + piece, PPID)
        if number % COOKIE_EVERY == 0:
            session.cookie = REQUEST.pack(size, offset + len(piece)) + name
        early = began + (offset + len(piece) - first) / rate - loop.time()
        if early > 0:
            await asyncio.sleep(early)


async def offer(options: argparse.Namespace) -> None:
    """Run a pool element until it is killed."""

    async def handle(session: ServiceSession) -> None:
        async for item in session:
            if isinstance(item, Resumed | Data):
                request = item.cookie if isinstance(item, Resumed) else item
                tell("asked", offset=REQUEST.unpack_from(request)[1])
                await stream(session, request, options.rate)

    element = PoolElement(
        POOL,
        registrars=options.registrar,
        local=options.local,
        identifier=options.identifier,
        settings=FAST,
        times=RegistrationTimes(life=30.0),
    )
    element.seal = Sealer(KEYS)

    async def announce() -> None:
        async for event in element.events():
            if isinstance(event, ElementStatus) and event.current:
                tell("registered", identifier=event.identifier, home=str(event.home))

    announcing = asyncio.create_task(announce())
    try:
        await serve(element, handle)
    finally:
        announcing.cancel()


class Download:
    """The user's side of one file."""

    def __init__(self, session: Session, size: int) -> None:
        self.session = session
        self.request = REQUEST.pack(size, 0) + NAME
        self.size = size
        self.octets = 0
        self.repeated = 0
        self.sum = hashlib.sha256()
        self.last = time.monotonic()
        self.longest = 0.0
        self.moved = False

    async def run(self) -> None:
        await self.session.send(self.request, PPID)
        while self.octets < self.size:
            item = await self.session.receive()
            if isinstance(item, Data):
                self.take(item)
            else:
                await self.failed_over(item)

    def take(self, message: Data) -> None:
        """Accept new octets, or octets that are here already, but never a gap."""
        (offset,) = OFFSET.unpack_from(message)
        if offset > self.octets:
            raise AssertionError(f"octets {self.octets} to {offset} are missing")
        new = memoryview(message)[OFFSET.size + self.octets - offset :]
        self.repeated += len(message) - OFFSET.size - len(new)
        if not new:
            return
        now = time.monotonic()
        stall, self.last = now - self.last, now
        self.longest = max(self.longest, stall)
        if stall >= TOLD or self.moved:
            tell("stall", seconds=round(stall, 3), offset=self.octets, failover=self.moved)
        self.moved = False
        self.sum.update(new)
        self.octets += len(new)

    async def failed_over(self, event: FailoverEvent) -> None:
        """The next element continues from the cookie; without a cookie it is asked from the start."""
        self.moved = True
        tell(
            "failover",
            old=event.old.identifier,
            new=event.new.identifier,
            after=round(event.duration, 3),
            silent=round(time.monotonic() - self.last, 3),
        )
        if not event.had_cookie and not event.unsent:
            await self.session.send(self.request, PPID)


async def fetch(options: argparse.Namespace) -> None:
    """Run a pool user that fetches one file in one session."""
    async with (
        PoolUser(registrars=options.registrar, local=options.local, settings=FAST) as user,
        open_session(POOL, user=user, failover="event", local=options.local) as session,
    ):
        assert session.element is not None
        tell("began", element=session.element.identifier)
        download = Download(session, options.size)
        await download.run()
        tell(
            "done",
            octets=download.octets,
            repeated=download.repeated,
            sha256=download.sum.hexdigest(),
            longest=round(download.longest, 3),
            failovers=session.failovers,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("element", "user"))
    parser.add_argument("--registrar", action="append", required=True)
    parser.add_argument("--local")
    parser.add_argument("--identifier", type=lambda text: int(text, 0))
    parser.add_argument("--size", type=int, default=200_000_000)
    parser.add_argument("--rate", type=float, default=4e6)
    options = parser.parse_args()
    asyncio.run(offer(options) if options.role == "element" else fetch(options))


if __name__ == "__main__":
    main()
