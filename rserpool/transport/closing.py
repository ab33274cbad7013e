"""The handler that an endpoint has while it closes."""

from rserpool.transport.interface import Address, Down, Endpoint

CLOSE_WAIT = 2.0
"""Seconds that an orderly end of every association may take before the rest is aborted."""


class Leaving:
    """Tells nobody, lets nobody in."""

    def on_up(self, endpoint: Endpoint, assoc: int, addresses: tuple[Address, ...], port: int) -> None:
        endpoint.abort(assoc)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        endpoint.abort(assoc)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        pass

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        pass

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        pass
