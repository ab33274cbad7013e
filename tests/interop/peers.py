"""Inside the guest: rsplib's unmodified programs, and a pool user that records a registrar's answers.

The pool user speaks ASAP with a few lines of its own code, so that its judgement does not depend on the library's
codec.
"""

import os
import re
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from tests.interop.network import Network, Program, address

ASAP_PORT = 3863
PPID_ASAP = 11
SNDINFO = 2  # SCTP_SNDINFO, the type of the ancillary data that names the payload protocol
LOGGING = ["-loglevel=4", "-logcolor=off"]


def element(
    net: Network, host: int, identifier: int, service: str, *options: str, tag: str = "", rereg_ms: int = 5000
) -> Program:
    """Start rsplib's rspserver with one service: echo, pingpong, calcapp ... It finds its registrar by multicast unless
    ``options`` contain -registrar=."""
    command = ["rspserver", f"-{service}", f"-identifier=0x{identifier:08x}", f"-rereginterval={rereg_ms}"]
    return net.start(tag or f"pe{identifier:x}", host, [*command, *LOGGING, *options])


def static(registrar: str) -> list[str]:
    """Options that name the registrar's ASAP address (``10.44.0.1:3863``), instead of waiting for announcements."""
    return ["-asapannounce=off", f"-registrar={registrar}"]


class Terminal:
    """rsplib's rspterminal, a pool user of the echo service. Its input is a FIFO, because it spins at end of input."""

    def __init__(self, net: Network, host: int, tag: str, *options: str) -> None:
        fifo = Path(f"/run/{tag}.in")
        os.mkfifo(fifo)
        self.input = os.open(fifo, os.O_RDWR)
        self.program = net.start(tag, host, ["rspterminal", *LOGGING, *options], stdin=self.input)

    def say(self, text: str) -> None:
        os.write(self.input, text.encode() + b"\n")

    def exchange(self, text: str, seconds: float = 20.0) -> int:
        """Send a text until it comes back; returns the identifier of the pool element that echoed it."""
        self.say(text)
        pattern = rf"from PE \$([0-9a-f]{{8}})> *{text}"
        self.program.wait_for(pattern, seconds)
        return int(re.findall(pattern, self.program.text())[-1], 16)

    def stop(self) -> None:
        self.program.stop()
        os.close(self.input)


def pingpong_user(net: Network, host: int, *options: str, interval_ms: int = 200) -> Program:
    return net.start(f"pingpongclient{host}", host, ["pingpongclient", f"-interval={interval_ms}", *LOGGING, *options])


def calcapp_user(net: Network, host: int, *options: str, seconds: int = 60, size: int = 200_000) -> Program:
    """Start a user that requests jobs of ``size`` calculations. Its vector and scalar files go to the guest's /tmp."""
    files = [f"-vector=/tmp/calcapp{host}.vec", f"-scalar=/tmp/calcapp{host}.sca"]
    command = ["calcappclient", "-jobinterval=0.2", f"-jobsize={size}", f"-runtime={seconds}", *files]
    return net.start(f"calcappclient{host}", host, [*command, *LOGGING, *options])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a handle resolution, as raw parameters."""

    flags: int
    causes: list[int]
    policy_type: int | None
    elements: list[int]
    parameters: dict[int, bytes]
    """The whole Pool Element parameters' values."""

    @property
    def homes(self) -> dict[int, int]:
        """Home registrar of each element."""
        return {identifier: struct.unpack_from(">I", value, 4)[0] for identifier, value in self.parameters.items()}

    @property
    def endpoints(self) -> dict[int, tuple[str, int]]:
        """First address and port of each element with an SCTP transport and IPv4 addresses."""
        return {
            identifier: (socket.inet_ntoa(value[24:28]), struct.unpack_from(">H", value, 16)[0])
            for identifier, value in self.parameters.items()
        }


class PoolUser:
    """One association to a registrar over the guest's kernel SCTP."""

    def __init__(self, net: Network, host: int, registrar: str, seconds: float = 5.0) -> None:
        name, _, port = registrar.partition(":")
        with net.inside(host):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        self.socket.settimeout(seconds)
        try:
            self.socket.connect((name, int(port)))
        except OSError:
            self.socket.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        info = struct.pack("=HHIIi", 0, 0, socket.htonl(PPID_ASAP), 0, 0)
        self.socket.sendmsg([data], [(socket.IPPROTO_SCTP, SNDINFO, info)])

    def receive(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the registrar ended the association")
        return data

    def resolve(self, handle: str, items: int | None = None) -> Answer:
        """Send ASAP_HANDLE_RESOLUTION (RFC 5352 2.2.5), with rsplib's parameter for the number of items if given."""
        body = parameter(0x0009, handle.encode())
        if items is not None:
            body += parameter(0x803F, struct.pack(">I", items))
        self.send(struct.pack(">BBH", 0x05, 0, 4 + len(body)) + body)
        return parse_answer(self.receive())

    def all(self, handle: str) -> Answer:
        """All elements of a pool. rsplib lists at most 128 of them."""
        return self.resolve(handle, 0xFFFFFFFF)


def connect_when_ready(net: Network, host: int, registrar: str, program: Program, seconds: float = 20.0) -> PoolUser:
    """Connect a pool user to a registrar that may still be starting. RuntimeError with the registrar's last output if
    it does not come up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return PoolUser(net, host, registrar)
        except OSError as error:
            if not program.alive() or time.monotonic() > deadline:
                raise RuntimeError(f"no association with {registrar}: {program.text()[-2000:]}") from error
            time.sleep(0.1)


def parameter(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(value)) + value + bytes(-len(value) % 4)


def parameters(data: bytes) -> list[tuple[int, bytes]]:
    """Split consecutive parameters into (type, value) pairs."""
    found = []
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">HH", data, at)
        found.append((kind, data[at + 4 : at + length]))
        at += max(4, length + 3 & ~3)
    return found


def parse_answer(data: bytes) -> Answer:
    kind, flags, length = struct.unpack_from(">BBH", data)
    if kind != 0x06:
        raise ValueError(f"no resolution answer: {data.hex()}")
    found = parameters(data[4:length])
    elements = {struct.unpack_from(">I", value)[0]: value for kind, value in found if kind == 0x000A}
    policies = [struct.unpack_from(">I", value)[0] for kind, value in found if kind == 0x0008]
    return Answer(
        flags=flags,
        causes=[code for kind, value in found if kind == 0x000C for code, _ in parameters(value)],
        policy_type=policies[0] if policies else None,
        elements=list(elements),
        parameters=elements,
    )


def rspregistrar(net: Network, host: int, identifier: int, *options: str) -> Program:
    """Start rsplib's registrar with timers that make failures visible within seconds."""
    where = address(host)
    timers = ["-mentordiscoverytimeout=1000", "-serverannouncecycle=500", "-peerheartbeatcycle=1000"]
    command = ["rspregistrar", f"-identifier=0x{identifier:08x}", f"-asap={where}:{ASAP_PORT}", f"-enrp={where}:9901"]
    return net.start(f"rspregistrar{host}", host, [*command, *timers, *LOGGING, *options])
