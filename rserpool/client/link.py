"""The way to a home registrar: hunt for one, ask it, and hear what it says unasked (RFC 5352 3.6, 3.7)."""

import asyncio
import random
import socket
from collections.abc import Callable, Sequence

from rserpool.client.errors import NoRegistrar
from rserpool.errors import LocalProtocolError, RemoteProtocolError
from rserpool.locator import ASAP_PORT, parse_addresses
from rserpool.messages import AsapError, Message, decode
from rserpool.protocol.addresses import Address
from rserpool.transport.choose import choose
from rserpool.transport.interface import AssociationGone, Down, Endpoint, Transport

ASAP_PPID = 11
T5_SERVER_HUNT = 10.0
"""Seconds of the first round of a server hunt; each further round takes twice as long (RFC 5352 7.1)."""
RETRAN_MAX = 60.0
"""Seconds of the longest round (RFC 5352 7.3)."""
MAX_SERVERS = 3
"""Registrars tried in one round (RFC 5352 3.6)."""

Unasked = Callable[[int, Message], None]


class RegistrarLink:
    """One SCTP endpoint and the association to the home registrar, found and kept as needed."""

    def __init__(
        self,
        registrars: Sequence[str],
        transport: Transport | None,
        local: str | None,
        unasked: Unasked,
        lost: Callable[[], None],
    ) -> None:
        self._registrars = parse_addresses(registrars, ASAP_PORT)
        if not self._registrars:
            raise LocalProtocolError("no registrar is configured")
        self._local = local
        self._given = transport
        self._transport: Transport | None = transport
        self._endpoint: Endpoint | None = None
        self._unasked = unasked
        self._lost = lost
        self._home: int | None = None
        self._hunting = asyncio.Lock()
        self._arriving: dict[int, asyncio.Future[bool]] = {}
        self._pending: list[tuple[Callable[[Message], bool], asyncio.Future[Message]]] = []

    @property
    def home(self) -> int | None:
        """The association to the home registrar, while there is one."""
        return self._home

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of the endpoint; empty before it is open."""
        return self._endpoint.local_addresses if self._endpoint is not None else ()

    async def open(self) -> None:
        """Open the endpoint, on the local address given or that from which the first registrar is reached."""
        if self._transport is None:
            self._transport, _ = choose("auto")
        local = self._local or address_towards(*self._registrars[0])
        self._endpoint = await self._transport.endpoint(self, addresses=[local], port=0)

    async def close(self) -> None:
        """Shut the association down and close the endpoint, and the transport if nobody gave it."""
        for _, waiting in self._pending:
            waiting.cancel()
        if self._endpoint is not None:
            await self._endpoint.close()
        if self._given is None and self._transport is not None:
            await self._transport.stop()

    def adopt(self, association: int) -> None:
        """Another registrar is home from now on (H bit of a keep-alive, RFC 5352 2.2.7); what waits is asked anew."""
        old, self._home = self._home, association
        if old is not None and self._endpoint is not None:
            self._endpoint.shutdown(old)
            self._fail_pending()

    async def hunt(self) -> int:
        """The association to a home registrar, found first if there is none."""
        async with self._hunting:
            round_time = T5_SERVER_HUNT
            while self._home is None:
                try:
                    async with asyncio.timeout(round_time):
                        self._home = await self._one_round()
                except TimeoutError:
                    round_time = min(2 * round_time, RETRAN_MAX)
            return self._home

    async def _one_round(self) -> int:
        assert self._endpoint is not None
        candidates = random.sample(self._registrars, min(MAX_SERVERS, len(self._registrars)))
        while True:
            for host, port in candidates:
                arriving = asyncio.get_running_loop().create_future()
                association = self._endpoint.connect([host], port)
                self._arriving[association] = arriving
                try:
                    if await arriving:
                        return association
                finally:
                    self._arriving.pop(association, None)
                    if not (arriving.done() and not arriving.cancelled() and arriving.result()):
                        self._endpoint.abort(association)
            await asyncio.sleep(0.25)

    async def ask(self, request: Message, is_answer: Callable[[Message], bool], timeout: float) -> Message:
        """Send a request to the home registrar and wait for its answer; hunts for another registrar where this one
        goes away. Raises NoRegistrar after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return await self._ask_once(await self.hunt(), request, is_answer)
                    except AssociationGone:
                        self._home = None
        except TimeoutError:
            raise NoRegistrar(f"no registrar answered within {timeout:g} s") from None

    async def _ask_once(self, home: int, request: Message, is_answer: Callable[[Message], bool]) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        entry = (is_answer, answer)
        self._pending.append(entry)
        try:
            self.tell(home, request)
            return await answer
        finally:
            if entry in self._pending:
                self._pending.remove(entry)

    def tell(self, association: int, message: Message) -> None:
        """Send without waiting for an answer. Raises AssociationGone."""
        assert self._endpoint is not None
        self._endpoint.send(association, message.encode(), ASAP_PPID)

    # The transport's calls

    def on_up(self, endpoint: Endpoint, association: int, addresses: tuple[Address, ...], port: int) -> None:
        arriving = self._arriving.get(association)
        if arriving is not None and not arriving.done():
            arriving.set_result(True)

    def on_restart(self, endpoint: Endpoint, association: int) -> None:
        self.on_down(endpoint, association, Down.LOST)

    def on_down(self, endpoint: Endpoint, association: int, reason: Down) -> None:
        arriving = self._arriving.get(association)
        if arriving is not None and not arriving.done():
            arriving.set_result(False)
        if association != self._home:
            return
        self._home = None
        self._fail_pending()
        self._lost()

    def _fail_pending(self) -> None:
        """Nobody will answer what has been asked."""
        pending, self._pending = self._pending, []
        for _, answer in pending:
            if not answer.done():
                answer.set_exception(AssociationGone("the home registrar has changed"))

    def on_writable(self, endpoint: Endpoint, association: int) -> None:
        """Nothing waits: requests are few and small."""

    def on_message(self, endpoint: Endpoint, association: int, data: bytes, ppid: int) -> None:
        if ppid != ASAP_PPID:
            return
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return
        for entry in self._pending:
            is_answer, answer = entry
            if association == self._home and (is_answer(message) or isinstance(message, AsapError)):
                self._pending.remove(entry)
                if not answer.done():
                    answer.set_result(message)
                return
        self._unasked(association, message)


def address_towards(host: str, port: int) -> str:
    """The local address from which a host is reached."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])
