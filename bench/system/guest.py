"""Inside the peer lab's guest: requests a second of processor time over kernel SCTP, ours beside rsplib's registrar.
Prints a JSON object for each figure. Run by ``python -m bench.system.lab``.
"""

import json
import socket
import statistics
import struct
from collections.abc import Callable

import pyximport

from bench.system.populate import registration
from bench.system.servers import processor_seconds
from rserpool.messages import HandleResolution, RegistrationResponse, decode
from tests.interop import peers, registrars
from tests.interop.guest import out_directory
from tests.interop.network import Network, address

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.load import Generator  # noqa: E402

HOSTS = {"ours": 1, "rsplib": 2}
CLIENT = 3
CLIENTS = 50
ROUNDS, SECONDS = 5, 2.0
ASAP = 11
NODELAY, DEFAULT_SNDINFO = 3, 34
HANDLE = b"ComputePool"
RESOLUTION = HandleResolution(pool_handle=HANDLE, items=3).encode()


def connected(net: Network, registrar: registrars.Registrar) -> socket.socket:
    """A one-to-one association whose messages have ASAP's payload protocol identifier."""
    with net.inside(CLIENT):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    sock.setsockopt(socket.IPPROTO_SCTP, NODELAY, 1)
    info = struct.pack("=HHIIi", 0, 0, socket.htonl(ASAP), 0, 0)
    sock.setsockopt(socket.IPPROTO_SCTP, DEFAULT_SNDINFO, info)
    sock.connect((address(registrar.host), 3863))
    return sock


def element(identifier: int, load: int) -> bytes:
    """A least-used element of the clients' host."""
    return registration(HANDLE, identifier, load, address(CLIENT))


def prepared(net: Network, registrar: registrars.Registrar) -> dict[str, Callable[[], dict[str, float]]]:
    """Clients that have an element each, as ways to run the two loads."""
    sockets = [connected(net, registrar) for _ in range(CLIENTS)]
    renewals = []
    for number, sock in enumerate(sockets, 1):
        sock.send(element(number, number))
        answer = decode(sock.recv(65536), "asap")
        assert isinstance(answer, RegistrationResponse), answer
        assert not answer.reject, answer
        renewals.append([element(number, (number * 7919 + turn * 104729) % 2**31) for turn in range(16)])
    resolve = Generator(sockets, [[RESOLUTION]] * CLIENTS, False)
    renew = Generator(sockets, renewals, False)
    return {"resolution of 3": lambda: resolve.run(SECONDS), "re-registration": lambda: renew.run(SECONDS)}


def main() -> None:
    with Network(out_directory()) as net:
        for capture in net.captures:
            capture.stop()
        for host in (*HOSTS.values(), CLIENT):
            net.host(host)
        running = {}
        for name, host in HOSTS.items():
            options = [*registrars.patient(name), *registrars.static_peers(name)]
            running[name] = registrars.start(net, name, host, 0x11111111 * host, *options)
            peers.connect_when_ready(net, CLIENT, running[name].asap, running[name].program).close()
        loads = {name: prepared(net, one) for name, one in running.items()}
        for load in loads["ours"]:
            rates: dict[str, list[float]] = {name: [] for name in loads}
            latencies: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
            for turn in range(ROUNDS + 1):
                for name, one in running.items():
                    pid = one.program.process.pid
                    before = processor_seconds(pid)
                    result = loads[name][load]()
                    spent = processor_seconds(pid) - before
                    if turn:
                        rates[name].append(result["answers"] / spent)
                        latencies[name].append(result)
            found = {
                name: {
                    "rate": statistics.median(rates[name]),
                    "rates": rates[name],
                    "p50": statistics.median(one["p50"] for one in latencies[name]),
                    "p99": statistics.median(one["p99"] for one in latencies[name]),
                }
                for name in loads
            }
            print(json.dumps({"load": load, **found}), flush=True)


if __name__ == "__main__":
    main()
