"""Runs in the peer lab's guest: measures requests per second of processor time over kernel SCTP, for our registrar,
rsplib's registrar, and an echo server over our transport.

Prints one JSON object per load. ``python -m bench.system.lab`` starts it.
"""

import json
import socket
import statistics
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pyximport

from bench.system.populate import registration
from bench.system.servers import processor_seconds
from rserpool.messages import HandleResolution, RegistrationResponse, decode
from tests.interop import peers, registrars
from tests.interop.guest import out_directory
from tests.interop.network import Network, Program, address

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.load import Generator  # noqa: E402

HOSTS = {"echo": 4, "ours": 1, "rsplib": 2}
QUIET = {"ours": "--keep-alive-interval=600", "rsplib": "-endpointkeepalivetransmissioninterval=600000"}
"""Options that suppress keep-alives: they would count as answers, and the clients do not acknowledge them."""
CLIENT = 3
CLIENTS = 50
ROUNDS, SECONDS = 5, 2.0
ASAP = 11
NODELAY, DEFAULT_SNDINFO = 3, 34
HANDLE = b"ComputePool"
RESOLUTION = HandleResolution(pool_handle=HANDLE, items=3).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: its program and its host."""

    program: Program
    host: int
    registers: bool


def connected(net: Network, host: int) -> socket.socket:
    """Return a one-to-one association whose messages have ASAP's payload protocol identifier."""
    with net.inside(CLIENT):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    sock.setsockopt(socket.IPPROTO_SCTP, NODELAY, 1)
    info = struct.pack("=HHIIi", 0, 0, socket.htonl(ASAP), 0, 0)
    sock.setsockopt(socket.IPPROTO_SCTP, DEFAULT_SNDINFO, info)
    sock.connect((address(host), peers.ASAP_PORT))
    return sock


def element(identifier: int, load: int) -> bytes:
    """Return a least-used element of the clients' host."""
    return registration(HANDLE, identifier, load, address(CLIENT))


def register(sock: socket.socket, number: int) -> None:
    """Register the element of that number. AssertionError if it is refused."""
    sock.send(element(number, number))
    answer = decode(sock.recv(65536), "asap")
    assert isinstance(answer, RegistrationResponse), answer
    assert not answer.reject, answer


def prepared(net: Network, server: Server) -> dict[str, Callable[[], dict[str, float]]]:
    """Open clients, with one registered element each if the server is a registrar; return the functions that run the
    loads."""
    sockets = [connected(net, server.host) for _ in range(CLIENTS)]
    numbers = range(1, CLIENTS + 1)
    if server.registers:
        for number, sock in zip(numbers, sockets, strict=True):
            register(sock, number)
    renewals = [[element(number, (number * 7919 + turn * 104729) % 2**31) for turn in range(16)] for number in numbers]
    alone = Generator([connected(net, server.host)], [[RESOLUTION]], False)
    resolve = Generator(sockets, [[RESOLUTION]] * CLIENTS, False)
    renew = Generator(sockets, renewals, False)
    return {
        "resolution of 3, 1 client": lambda: alone.run(SECONDS),
        f"resolution of 3, {CLIENTS} clients": lambda: resolve.run(SECONDS),
        f"re-registration, {CLIENTS} clients": lambda: renew.run(SECONDS),
    }


def started(net: Network, name: str, host: int) -> Server:
    """Start a server and wait until it can be reached."""
    if name == "echo":
        command = [sys.executable, "-m", "bench.system.echo", "kernel", address(host), str(peers.ASAP_PORT)]
        program = net.start(name, host, command)
        program.wait_for("ready")
    else:
        options = [QUIET[name], *registrars.static_peers(name)]
        registrar = registrars.start(net, name, host, 0x11111111 * host, *options)
        program = registrar.program
        peers.connect_when_ready(net, CLIENT, registrar.asap, program).close()
    return Server(program=program, host=host, registers=name != "echo")


def compare(servers: dict[str, Server], runs: dict[str, Callable[[], dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the medians of some alternating rounds for each server. The first round warms up and is discarded."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, run in runs.items():
            pid = servers[name].program.process.pid
            before = processor_seconds(pid)
            result = run()
            spent = processor_seconds(pid) - before
            if turn:
                found[name].append({"rate": result["answers"] / spent, "p50": result["p50"], "p99": result["p99"]})
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }


def main() -> None:
    with Network(out_directory()) as net:
        for capture in net.captures:
            capture.stop()
        for host in (*HOSTS.values(), CLIENT):
            net.host(host)
        servers = {name: started(net, name, host) for name, host in HOSTS.items()}
        loads = {name: prepared(net, server) for name, server in servers.items()}
        for load in loads["ours"]:
            found = compare(servers, {name: runs[load] for name, runs in loads.items()})
            print(json.dumps({"load": load, **found}), flush=True)


if __name__ == "__main__":
    main()
