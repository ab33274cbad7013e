"""Inside the guest: one process with many pool elements on several associations.

The elements speak ASAP with a few lines of their own code over the guest's kernel SCTP. They acknowledge keep-alives
and serve nothing.
"""

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable

from tests.interop.network import Network, address, wait_until
from tests.interop.peers import PPID_ASAP, SNDINFO, parameter, parameters

REGISTRATION, DEREGISTRATION = 0x01, 0x02
REGISTRATION_RESPONSE, DEREGISTRATION_RESPONSE = 0x03, 0x04
KEEP_ALIVE, KEEP_ALIVE_ACK = 0x07, 0x08
REJECTED = 0x01
POOL_HANDLE, POOL_ELEMENT, ELEMENT_IDENTIFIER, POLICY = 0x0009, 0x000A, 0x000E, 0x0008
SCTP_TRANSPORT, IPV4 = 0x0004, 0x0001
ROUND_ROBIN, WEIGHTED_ROUND_ROBIN = 1, 2
LIFE_MS = 300_000


def message(kind: int, *tlvs: bytes, flags: int = 0) -> bytes:
    body = b"".join(tlvs)
    return struct.pack(">BBH", kind, flags, 4 + len(body)) + body


def send(to: socket.socket, data: bytes, ppid: int = PPID_ASAP) -> None:
    info = struct.pack("=HHIIi", 0, 0, socket.htonl(ppid), 0, 0)
    to.sendmsg([data], [(socket.IPPROTO_SCTP, SNDINFO, info)])


class Association:
    """One association to a registrar. ``granted`` holds the registrar's last answer about each element."""

    def __init__(self, home: "Elements", registrar: str) -> None:
        self.home = home
        self.registrar = registrar
        self.granted: dict[tuple[str, int], bool] = {}
        """By element: True if the registrar's last answer granted the registration, False after the deregistration."""
        self.answers = 0
        self.lost = False
        name, _, port = registrar.partition(":")
        with home.net.inside(home.host):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        self.socket.settimeout(5)
        self.socket.connect((name, int(port)))

    def register(self, pool: str, identifier: int, weight: int = 0) -> None:
        """Send a registration. With a weight, the pool uses weighted round robin."""
        values = (WEIGHTED_ROUND_ROBIN, weight) if weight else (ROUND_ROBIN,)
        where = parameter(IPV4, socket.inet_aton(address(self.home.host)))
        element = struct.pack(">IIi", identifier, 0, LIFE_MS) + parameter(
            SCTP_TRANSPORT, struct.pack(">HH", 20_000 + identifier % 40_000, 0) + where
        )
        element += parameter(POLICY, b"".join(struct.pack(">I", value) for value in values))
        send(
            self.socket, message(REGISTRATION, parameter(POOL_HANDLE, pool.encode()), parameter(POOL_ELEMENT, element))
        )

    def deregister(self, pool: str, identifier: int) -> None:
        """Send a deregistration."""
        tlvs = parameter(POOL_HANDLE, pool.encode()), parameter(ELEMENT_IDENTIFIER, struct.pack(">I", identifier))
        send(self.socket, message(DEREGISTRATION, *tlvs))

    def wait_answers(self, count: int) -> None:
        """Wait until the total number of answers has reached ``count``."""
        wait_until(lambda: self.answers >= count, f"{count} answers from {self.registrar}")

    def close(self, *, abort: bool = False) -> None:
        """Close the association by SHUTDOWN, or by ABORT."""
        with self.home.lock:
            self.home.forget(self)
            if abort:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()

    def readable(self) -> None:
        """Receive one message, unless the other thread has closed the association."""
        if self.socket.fileno() < 0:
            return
        try:
            data = self.socket.recv(65536)
            if data:
                self._received(data)
        except OSError:
            data = b""
        if not data:
            self.lost = True
            self.home.forget(self)

    def _received(self, data: bytes) -> None:
        found = dict(parameters(data[8 if data[0] == KEEP_ALIVE else 4 :]))
        pool = found.get(POOL_HANDLE, b"")
        identifier = found.get(ELEMENT_IDENTIFIER, b"")
        if data[0] == KEEP_ALIVE:
            tlvs = parameter(POOL_HANDLE, pool), parameter(ELEMENT_IDENTIFIER, identifier)
            send(self.socket, message(KEEP_ALIVE_ACK, *tlvs))
        elif data[0] in (REGISTRATION_RESPONSE, DEREGISTRATION_RESPONSE):
            key = pool.decode(), struct.unpack(">I", identifier)[0]
            self.granted[key] = data[0] == REGISTRATION_RESPONSE and not data[1] & REJECTED
            self.answers += 1


class Elements:
    """The elements of one host and the thread that receives for them. Leaving the context ends both."""

    def __init__(self, net: Network, host: int) -> None:
        self.net = net
        self.host = host
        self._selector = selectors.DefaultSelector()
        self.lock = threading.RLock()
        """Held while an association is read or closed."""
        self._ending = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Elements":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(5)

    def associate(self, registrar: str) -> Association:
        """Open an association to a registrar's ASAP address."""
        association = Association(self, registrar)
        with self.lock:
            self._selector.register(association.socket, selectors.EVENT_READ, association.readable)
        return association

    def forget(self, association: Association) -> None:
        """Stop receiving on this association."""
        if association.socket in self._selector.get_map():
            self._selector.unregister(association.socket)

    def _serve(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(0.05):
                act: Callable[[], None] = key.data
                with self.lock:
                    act()


def register_many(association: Association, pools: list[str], first: int, count: int) -> float:
    """Register ``count`` elements in the pools in rotation, with at most 100 unanswered requests; returns the seconds
    it took."""
    before = association.answers
    began = time.monotonic()
    for number in range(count):
        if number % 100 == 0:
            association.wait_answers(before + number)
        association.register(pools[number % len(pools)], first + number)
    association.wait_answers(before + count)
    if not all(association.granted.values()):
        raise AssertionError(f"registrations were rejected at {association.registrar}")
    return time.monotonic() - began
