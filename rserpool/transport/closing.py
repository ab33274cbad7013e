"""The handler of an endpoint that is closing."""

from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Down, Endpoint

CLOSE_WAIT = 2.0
"""Seconds that close() waits for the orderly end of all associations before it aborts the rest."""


class ClosingHandler:
    """Drops every message and aborts every association that comes up while the endpoint closes."""

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        endpoint.abort(assoc)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        endpoint.abort(assoc)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        pass

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        pass

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        pass

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        pass
