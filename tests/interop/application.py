"""A server and a client of rsplib's echo and ping-pong services, written with the library; programs that run in the
guest.

``python -m tests.interop.application pe|pu echo|pingpong --pool=P [--registrar=A:P] ...``. Each line of output is a
JSON object that names an event and its time in seconds of the monotonic clock, which all processes of the guest share.
"""

import argparse
import asyncio
import contextlib
import json
import struct
import time
from dataclasses import replace

from rserpool.client import FAST, PoolElement, PoolUser, RegistrationTimes
from rserpool.client.errors import SessionClosed
from rserpool.client.session.items import Data, Resumed
from rserpool.client.session.service import ServiceSession
from rserpool.client.session.session import Session, open_session

PPID_NONE, PPID_PINGPONG = 0, 33
PING, PONG = 1, 2
PING_HEADER = struct.Struct(">BBHQ")
PONG_HEADER = struct.Struct(">BBHQQ")
COOKIE = struct.Struct(">8sQ")
COOKIE_MARK = b"<PP-TD1>"
INTERVAL = 0.1
"""Seconds between two messages of the client."""


def emit(what: str, **values: object) -> None:
    """Print one event as a line of JSON."""
    print(json.dumps({"what": what, "at": time.monotonic(), **values}), flush=True)


async def echo_server(session: ServiceSession) -> None:
    """Return each message under the payload protocol identifier that it came with."""
    async for item in session:
        if isinstance(item, Data):
            await session.send(item, item.ppid)


async def pingpong_server(session: ServiceSession) -> None:
    """Number the replies. The cookie holds the next number, so that another element continues the count."""
    number = 1
    async for item in session:
        if isinstance(item, Resumed):
            mark, number = COOKIE.unpack(item.cookie)
            emit("resumed", number=number, known=mark == COOKIE_MARK)
        elif isinstance(item, Data) and item.ppid == PPID_PINGPONG and item[0] == PING:
            _, _, length, counter = PING_HEADER.unpack_from(item)
            text = item[PING_HEADER.size : length]
            header = PONG_HEADER.pack(PONG, 0, PONG_HEADER.size + len(text), counter, number)
            await session.send(header + text, PPID_PINGPONG)
            number += 1
            session.cookie = COOKIE.pack(COOKIE_MARK, number)


SERVERS = {"echo": echo_server, "pingpong": pingpong_server}


async def offer(options: argparse.Namespace) -> None:
    """Run a pool element until it is killed."""
    server = SERVERS[options.service]

    async def serve(session: ServiceSession) -> None:
        emit("session")
        with contextlib.suppress(SessionClosed):
            await server(session)
        emit("session over")

    async with PoolElement(
        options.pool,
        registrars=options.registrar,
        groups=() if options.registrar else None,
        identifier=options.identifier,
        settings=FAST,
        times=RegistrationTimes(life=30.0),
    ) as element:
        emit("registered", identifier=element.identifier)
        async with asyncio.TaskGroup() as group:
            group.create_task(report(element))
            async for session in element.sessions():
                group.create_task(serve(session))


async def report(element: PoolElement) -> None:
    """Print the element's events."""
    async for event in element.events():
        emit("event", event=str(event))


async def exchange(session: Session, message: bytes, ppid: int) -> Data:
    """Send a message and wait for its reply. After a failover, send it again unless the session does so itself."""
    sent = session.failovers
    await session.send(message, ppid)
    while True:
        item = await session.receive()
        if isinstance(item, Data):
            return item
        emit("failover", old=item.old.identifier, new=item.new.identifier, after=item.duration)
        if item.number > sent and not item.unsent:
            await session.send(message, ppid)


async def echo_client(session: Session, number: int) -> None:
    """Send one text and check that the same text comes back."""
    words = f"message {number}".encode()
    while await exchange(session, words, PPID_NONE) != words:
        pass
    emit("answer", number=number, element=identifier_of(session))


async def pingpong_client(session: Session, number: int) -> None:
    """Send the ping with that number and check that the pong answers it."""
    text = b"words"
    ping = PING_HEADER.pack(PING, 0, PING_HEADER.size + len(text), number) + text
    kind, _, _, counter, reply = PONG_HEADER.unpack_from(await exchange(session, ping, PPID_PINGPONG))
    assert (kind, counter) == (PONG, number), "the pong does not answer the ping"
    emit("answer", number=number, reply=reply, element=identifier_of(session))


def identifier_of(session: Session) -> int:
    """Identifier of the element that serves the session."""
    assert session.element is not None
    return session.element.identifier


CLIENTS = {"echo": echo_client, "pingpong": pingpong_client}


async def use(options: argparse.Namespace) -> None:
    """Run a pool user that sends one message after the other in one session, each after the reply to the previous
    one."""
    settings = replace(FAST, stale_cache=0.0)
    groups = () if options.registrar else None
    async with PoolUser(registrars=options.registrar, groups=groups, settings=settings) as user:
        found = await user.resolve(options.pool)
        emit("resolved", elements=[element.identifier for element in found])
        async with open_session(options.pool, user=user, failover="event", silence=options.silence) as session:
            for number in range(1, options.count + 1):
                await CLIENTS[options.service](session, number)
                await asyncio.sleep(INTERVAL)
    emit("done")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("pe", "pu"))
    parser.add_argument("service", choices=tuple(SERVERS))
    parser.add_argument("--pool", required=True)
    parser.add_argument("--registrar", action="append", default=[])
    parser.add_argument("--identifier", type=lambda text: int(text, 0))
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--silence", type=float)
    options = parser.parse_args()
    asyncio.run(offer(options) if options.role == "pe" else use(options))


if __name__ == "__main__":
    main()
