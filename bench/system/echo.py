"""The yardsticks: echo servers over the transports that a registrar uses.

``python -m bench.system.echo tcp|usrsctp|kernel ADDRESS PORT``. TCP is served by uvloop itself, SCTP by our transport
with a handler that returns each message.
"""

import asyncio
import sys

import uvloop

from rserpool.protocol.peer import Peer
from rserpool.transport.choose import choose
from rserpool.transport.interface import Down, Endpoint


class TcpEcho(asyncio.Protocol):
    """Send everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


class SctpEcho:
    """Send everything back while there is room."""

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None: ...

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None: ...

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        endpoint.send(assoc, data, ppid)


async def main() -> None:
    name, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if name == "tcp":
        await asyncio.get_running_loop().create_server(TcpEcho, address, port)
    else:
        transport, _ = choose(name)
        await transport.endpoint(SctpEcho(), addresses=[address], port=port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
