"""``make demo``: a registrar, three pool elements and a pool user on the loopback interface.

Shows registrations, selection by least-used load, and a user that continues while a killed element is removed. Exit
status 0 only if all of that happened.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import time
from ipaddress import IPv4Address

from rserpool.client import PoolElement, PoolUser, ResolvedElement, UnknownPool
from rserpool.errors import RSerPoolError
from rserpool.messages import Policy, PolicyType, TCPTransport

HOST = "127.0.0.1"
POOL = "DemoPool"
FULL_LOAD = 0xFFFFFFFF
LOADS = {0x0A: 0.10, 0x0B: 0.40, 0x0C: 0.70}
PATIENCE = 40.0
STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def least_used(load: float) -> Policy:
    return Policy(policy_type=PolicyType.LEAST_USED, values=(round(load * FULL_LOAD),))


# A pool element: a TCP service that answers each line with its name. A line on its standard input sets its load.


async def element(identifier: int, load: float, registrar: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        writer.write(f"element 0x{identifier:02x} did {line.decode().strip()}\n".encode())
        await writer.drain()
        writer.close()

    service = await asyncio.start_server(answer, HOST, 0)
    port = service.sockets[0].getsockname()[1]
    transport = TCPTransport(port=port, address=IPv4Address(HOST))
    async with PoolElement(
        POOL, transport, registrars=[registrar], policy=least_used(load), identifier=identifier
    ) as registered:
        print("registered", flush=True)
        commands = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            registered.load = float(line)
            await registered.registered()
            print("updated", flush=True)


# The demonstration


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def expect_line(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if line.decode().strip() != word:
        raise RuntimeError(f"expected an element to print {word!r}, but it ended or printed {line!r}")


async def ask(target: ResolvedElement, job: str) -> str:
    reader, writer = await asyncio.open_connection(str(target.addresses[0]), target.port)
    writer.write(f"{job}\n".encode())
    answer = (await reader.readline()).decode().strip()
    writer.close()
    if not answer:
        raise ConnectionResetError
    return answer


async def use(user: PoolUser, job: str) -> int:
    """Have one job done by the first element in the registrar's answer or, if it fails, by the next one. Returns the
    element's identifier."""
    for target in await user.resolve(POOL):
        try:
            say(f"  user: {await ask(target, job)}")
        except OSError:
            say(f"  user: element 0x{target.identifier:02x} does not answer; it is reported, and the next one is tried")
            await user.report_unreachable(POOL, target.identifier)
        else:
            return target.identifier
    raise RuntimeError("no element answered")


async def until_gone(user: PoolUser, identifier: int) -> None:
    while identifier in [found.identifier for found in await user.resolve(POOL)]:
        await asyncio.sleep(0.1)


async def until_up(user: PoolUser) -> None:
    with contextlib.suppress(UnknownPool):
        await user.resolve(POOL)


def free_port() -> int:
    """A port that is free for UDP and TCP on the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind((HOST, 0))
        port: int = udp.getsockname()[1]
        tcp.bind((HOST, port))
        return port


async def demonstrate() -> None:
    port = free_port()
    where = f"{HOST}:{port}"
    processes: list[asyncio.subprocess.Process] = []
    try:
        say(f"a registrar starts at {where}; loopback addresses may be registered, as all runs on this machine")
        registrar = await start(
            "-m", "rserpool.cli.main", "registrar", f"--asap={where}", "--address-scope=loopback", "--announce=",
            "--log-level=warning", "--keep-alive-interval=1", "--keep-alive-timeout=1",
        )  # fmt: skip
        processes.append(registrar)
        async with PoolUser(registrars=[where]) as user:
            await until_up(user)
            elements = {}
            for identifier, load in LOADS.items():
                elements[identifier] = await start(
                    "-m", "ci.demo", f"--element={identifier}", f"--load={load}", f"--registrar={where}"
                )
                processes.append(elements[identifier])
                await expect_line(elements[identifier], "registered")
                say(f"element 0x{identifier:02x} registered with a load of {load:.0%}")
            await scenes(user, elements)
        registrar.send_signal(signal.SIGTERM)
        if await registrar.wait() != 0:
            raise RuntimeError(f"the registrar exited with status {registrar.returncode}")
        say("the registrar stopped in order")
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def scenes(user: PoolUser, elements: dict[int, asyncio.subprocess.Process]) -> None:
    say("the user resolves the pool; policy least-used puts the element with the lowest load first")
    expect([found.identifier for found in await user.resolve(POOL)], [0x0A, 0x0B, 0x0C])
    for number in range(1, 4):
        expect(await use(user, f"job {number}"), 0x0A)
    say("element 0x0a reports a load of 90%; the next jobs go to 0x0b")
    stdin = elements[0x0A].stdin
    assert stdin is not None
    stdin.write(b"0.9\n")
    await expect_line(elements[0x0A], "updated")
    for number in range(4, 6):
        expect(await use(user, f"job {number}"), 0x0B)
    say("element 0x0b is killed (SIGKILL)")
    elements[0x0B].kill()
    await elements[0x0B].wait()
    expect(await use(user, "job 6"), 0x0C)
    killed = time.monotonic()
    await until_gone(user, 0x0B)
    say(f"element 0x0b was removed from the pool after {time.monotonic() - killed:.1f} s")
    expect(await use(user, "job 7"), 0x0C)
    expect([found.identifier for found in await user.resolve(POOL)], [0x0C, 0x0A])


def expect(seen: object, wanted: object) -> None:
    if seen != wanted:
        raise RuntimeError(f"expected {wanted}, but saw {seen}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--element", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--registrar", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.element is not None:
        asyncio.run(element(arguments.element, arguments.load, arguments.registrar))
        return 0
    try:
        asyncio.run(asyncio.wait_for(demonstrate(), PATIENCE))
    except (RSerPoolError, OSError, RuntimeError, TimeoutError) as error:
        say(f"the demo failed: {error or 'it took too long'}")
        return 1
    say("everything worked: registrations, selection by load, and failover")
    return 0


if __name__ == "__main__":
    sys.exit(main())
