"""Compares our registrar with Redis and etcd from Debian for the question "3 of 10 000 elements": ``python -m
bench.system.alternatives``.

All three serve TCP clients, in turn. ``ci/setup bench`` puts the programs into build/alternatives. Redis keeps the
loads in a sorted set and the addresses in hashes. ZRANGE returns the names of the 3 least used elements; the Lua script
also returns their addresses and counts the first one as used, as a registrar does. etcd can only sort by key: h2load
asks it over gRPC for the first 3 keys of a range, so that etcd selects nothing.
"""

import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.system.processors import LOAD, SERVER, on, pin
from bench.system.requests import HANDLE, REQUEST, RegisteredElements, check
from bench.system.servers import HOST, connections, processor_seconds, registrar, running

from bench.system.load import Generator  # isort: skip
from tests.support.ports import free_port

UNPACKED = Path(__file__).resolve().parents[2] / "build/alternatives"
ELEMENTS, CLIENTS = 10_000, 50
ROUNDS, SECONDS = 5, 2
PUTS = 500
"""Keys per transaction while etcd is filled."""
LUA = """
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, 2)) do
    local where = redis.call('HMGET', name, 'address', 'port')
    found[#found + 1] = name
    found[#found + 1] = where[1]
    found[#found + 1] = where[2]
end
redis.call('ZINCRBY', KEYS[1], 1, found[1])
return found
"""


class Figure(NamedTuple):
    """The result of one round: answers, the server's seconds of processor time, latencies in seconds."""

    answers: float
    cpu: float
    p50: float
    p99: float


class Subject(NamedTuple):
    """One server with one kind of request. ``run`` loads it for SECONDS, and returns answers and latencies."""

    name: str
    pid: int
    run: Callable[[], dict[str, float]]


def program(name: str) -> str | None:
    """Return the path of a program in build/alternatives or on the machine; None if there is none."""
    path = os.pathsep.join([str(UNPACKED / "usr/bin"), os.environ.get("PATH", "")])
    return shutil.which(name, path=path)


def environment() -> dict[str, str]:
    """Return the environment, extended with the libraries of build/alternatives."""
    libraries = [str(where) for where in (UNPACKED / "usr/lib").glob("*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def element(number: int) -> tuple[str, str, int]:
    """Return name, address and port. All have the same width, so that all answers have the same size."""
    return f"{number:08x}", f"10.{100 + number // 10000}.{100 + number % 100}.{100 + number // 100}", 7777


@contextmanager
def ours() -> Iterator[list[Subject]]:
    """Start our registrar with least-used elements, registered over usrsctp."""
    port = free_port()
    with registrar(port) as process:
        held = RegisteredElements(port, ELEMENTS)
        try:
            check(port)
            pin(process.pid, SERVER)
            generator = Generator(connections(port, CLIENTS), [[REQUEST]] * CLIENTS, True)
            yield [Subject("our registrar, 3 least used", process.pid, lambda: generator.run(SECONDS))]
        finally:
            held.close()


def command(*words: str | int) -> bytes:
    """Encode a command in Redis' protocol."""
    octets = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(octets) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in octets)


def exchange(port: int, octets: bytes) -> bytes:
    """Send octets, and return all that arrives until the server is silent for half a second."""
    (sock,) = connections(port, 1)
    with sock:
        sock.settimeout(0.5)
        sock.sendall(octets)
        answer = b""
        try:
            while part := sock.recv(1 << 20):
                answer += part
        except TimeoutError:
            return answer
    raise ConnectionError(answer)


def redis_subject(port: int, process: subprocess.Popen[str], name: str, octets: bytes) -> Subject:
    answer = exchange(port, octets)
    assert answer.startswith(b"*"), answer
    generator = Generator(connections(port, CLIENTS), [[octets]] * CLIENTS, True, len(answer))
    return Subject(name, process.pid, lambda: generator.run(SECONDS))


@contextmanager
def redis() -> Iterator[list[Subject]]:
    """Start Redis without persistence."""
    server, port = program("redis-server"), free_port()
    if server is None:
        raise FileNotFoundError("redis-server")
    with tempfile.TemporaryDirectory() as directory:
        options = ["--bind", HOST, "--port", str(port), "--dir", directory, "--save", "", "--appendonly", "no"]
        with running([server, *options], "Ready to accept connections", environment()) as process:
            pin(process.pid, SERVER)
            script = exchange(port, command("SCRIPT", "LOAD", LUA)).split(b"\r\n")[1].decode()
            filling = b""
            for number in range(ELEMENTS):
                name, address, where = element(number)
                load = (number * 2654435761) % 0xFFFFFFFF
                filling += command("HSET", name, "address", address, "port", where)
                filling += command("ZADD", HANDLE.decode(), load, name)
            assert exchange(port, filling) == b":2\r\n:1\r\n" * ELEMENTS
            key = HANDLE.decode()
            yield [
                redis_subject(port, process, "Redis, ZRANGE: 3 names", command("ZRANGE", key, 0, 2)),
                redis_subject(port, process, "Redis, Lua: 3 least used", command("EVALSHA", script, 1, key)),
            ]


def post(port: int, path: str, what: Any) -> dict[str, Any]:
    """Send a request to etcd's JSON gateway."""
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", json.dumps(what).encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def fill_etcd(port: int) -> None:
    """Store one key per element. AssertionError if they cannot be read back."""
    for first in range(0, ELEMENTS, PUTS):
        puts = []
        for number in range(first, first + PUTS):
            name, address, where = element(number)
            value = encoded(json.dumps({"address": address, "port": where}))
            puts.append({"requestPut": {"key": encoded(f"pool/{name}"), "value": value}})
        assert post(port, "/v3/kv/txn", {"success": puts})["succeeded"]
    found = post(port, "/v3/kv/range", {"key": encoded("pool/"), "range_end": encoded("pool0"), "limit": 3})
    assert len(found["kvs"]) == 3, found
    assert int(found["count"]) == ELEMENTS, found


def h2load(port: int, body: Path) -> dict[str, float]:
    """Run h2load for some seconds and return its figures. RuntimeError if a request failed."""
    tool = program("h2load")
    assert tool is not None
    url = f"http://{HOST}:{port}/etcdserverpb.KV/Range"
    options = ["-c", str(CLIENTS), "-D", str(SECONDS), "-d", str(body), "-H", "content-type: application/grpc"]
    done = subprocess.run(
        [tool, *options, "-H", "te: trailers", url], env=environment(), capture_output=True, text=True, check=True
    )
    answered = re.search(r"(\d+) succeeded, (\d+) failed", done.stdout)
    octets = re.search(r"\((\d+)\) data", done.stdout)
    mean = re.search(r"time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)", done.stdout)
    if answered is None or octets is None or mean is None or int(answered[2]) or not int(answered[1]):
        raise RuntimeError(done.stdout + done.stderr)
    if int(octets[1]) < 100 * int(answered[1]):
        raise RuntimeError(f"etcd's answers are too short:\n{done.stdout}")
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[mean[2]]
    return {"answers": int(answered[1]), "mean": float(mean[1]) * scale}


@contextmanager
def etcd() -> Iterator[list[Subject]]:
    """Start a single etcd member that does not wait for the disk."""
    server = program("etcd")
    if server is None or program("h2load") is None:
        raise FileNotFoundError("etcd or h2load")
    port, peers = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        here, there = f"http://{HOST}:{port}", f"http://{HOST}:{peers}"
        options = [
            f"--data-dir={directory}/data", f"--listen-client-urls={here}", f"--advertise-client-urls={here}",
            f"--listen-peer-urls={there}", f"--initial-advertise-peer-urls={there}",
            f"--initial-cluster=default={there}", f"--max-txn-ops={PUTS}",
        ]  # fmt: skip
        with running([server, *options], "ready to serve client requests", environment()) as process:
            pin(process.pid, SERVER)
            fill_etcd(port)
            body = Path(directory) / "range"
            request = b"\x0a\x05pool/\x12\x05pool0\x18\x03"  # key, range_end, limit
            body.write_bytes(b"\0" + len(request).to_bytes(4) + request)
            yield [Subject("etcd, Range: the first 3", process.pid, lambda: h2load(port, body))]


def measure() -> tuple[dict[str, list[Figure]], list[str]]:
    """Measure all servers in alternating rounds. Also return the names of missing programs."""
    found: dict[str, list[Figure]] = {}
    missing = []
    with ExitStack() as stack:
        subjects: list[Subject] = []
        for make in (ours, redis, etcd):
            try:
                subjects += stack.enter_context(make())
            except FileNotFoundError as error:
                missing.append(str(error))
        stack.enter_context(on(LOAD))
        for turn in range(ROUNDS + 1):
            for one in subjects:
                before = processor_seconds(one.pid)
                result = one.run()
                spent = processor_seconds(one.pid) - before
                if turn:
                    mean = result.get("mean", 0.0)
                    figure = Figure(result["answers"], spent, result.get("p50", mean), result.get("p99", 0.0))
                    found.setdefault(one.name, []).append(figure)
    return found, missing


def lines() -> list[str]:
    """Return a Markdown table."""
    found, missing = measure()
    table = [f"{CLIENTS} connections, one outstanding request on each.", ""]
    table += ["| | per second of processor time | our registrar / this | p50 | p99 |", "|---|---|---|---|---|"]
    rates = {name: statistics.median(one.answers / one.cpu for one in rounds) for name, rounds in found.items()}
    own = next(iter(rates.values()))
    for name, rounds in found.items():
        p50, p99 = (statistics.median(getattr(one, which) for one in rounds) * 1e3 for which in ("p50", "p99"))
        shown = f"{p50:.2f} ms | {p99:.2f} ms" if p99 else f"mean {p50:.2f} ms | "
        table.append(f"| {name} | {rates[name]:.0f} | {own / rates[name]:.1f} | {shown} |")
    if missing:
        table += ["", f"Not measured, because not installed (`ci/setup bench`): {', '.join(missing)}."]
    return table


if __name__ == "__main__":
    print(*lines(), sep="\n")
