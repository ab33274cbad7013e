"""The registrar's associations: when an idle one is closed."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

import pytest

from rserpool.protocol.actions import Protocol
from rserpool.protocol.association import Peer
from rserpool.registrar.links import IDLE_ROUNDS, Events, Face, Links
from rserpool.transport.interface import Endpoint

PEER = Peer(addresses=(ip_address("10.0.0.1"),), port=5, sctp=True)


class Remembering:
    """An endpoint that remembers what it is asked for."""

    def __init__(self) -> None:
        self.shut: list[int] = []

    def shutdown(self, assoc: int) -> None:
        self.shut.append(assoc)

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        return True


@pytest.fixture
def links() -> Links:
    def nothing(*_: Any) -> None: ...

    return Links(
        Events(up=nothing, message=nothing, down=nothing, unreachable=nothing, ignored=nothing, answer=nothing),
        {Protocol.ASAP: 1000},
    )


def test_an_idle_association_is_closed_once(links: Links) -> None:
    endpoint = Remembering()
    links.add(Protocol.ASAP, cast(Endpoint, endpoint), 7, PEER)
    for _ in range(IDLE_ROUNDS):
        links.sweep()
        assert endpoint.shut == []
    for _ in range(3):
        links.sweep()
        assert endpoint.shut == [7]


class Bundled(Remembering):
    """An endpoint that can put messages together."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, bool]] = []

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        self.sent.append((data, False))
        return True

    def send_before(self, assoc: int, data: bytes, ppid: int) -> bool:
        self.sent.append((data, True))
        return True


def test_messages_that_more_follow_share_packets_where_they_can(links: Links) -> None:
    alone, together = Remembering(), Bundled()
    for endpoint in (alone, together):
        links.add(Protocol.ASAP, cast(Endpoint, endpoint), 7, PEER)
    for number in (1, 2):
        assert links.send(number, b"first", True)
        assert links.send(number, b"last")
    assert together.sent == [(b"first", True), (b"last", False)]


@pytest.mark.parametrize("way", ["sent", "received"])
def test_a_message_either_way_keeps_it(links: Links, way: str) -> None:
    endpoint = Remembering()
    face = Face(links, Protocol.ASAP)
    face.on_up(cast(Endpoint, endpoint), 7, PEER.addresses, PEER.port)
    events: dict[str, Callable[[], object]] = {
        "sent": lambda: links.send(1, b"x"),
        "received": lambda: face.on_message(cast(Endpoint, endpoint), 7, b"x", Protocol.ASAP.value),
    }
    for _ in range(5 * IDLE_ROUNDS):
        links.sweep()
        events[way]()
    assert endpoint.shut == []
