"""The registrar's associations: when an idle one is closed."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

import pytest

from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Protocol
from rserpool.registrar.links import IDLE_ROUNDS, Events, Face, Links
from rserpool.transport.interface import AssociationGone, Endpoint

GONE = 8
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


class Row(Remembering):
    """An endpoint that has room for so many messages, and can put them together."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.rows: list[list[bytes]] = []
        self.sent: list[bytes] = []

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.sent.append(data)
        return True

    def send_row(self, assoc: int, messages: list[bytes], ppid: int) -> int:
        if assoc == GONE:
            raise AssociationGone
        self.rows.append(messages)
        taken = messages[: self.room]
        self.room -= len(taken)
        self.sent += taken
        return len(taken)


def test_a_row_goes_out_at_once_and_what_has_no_room_behind_it(links: Links) -> None:
    endpoint, face = Row(room=2), Face(links, Protocol.ASAP)
    face.on_up(cast(Endpoint, endpoint), 7, PEER)
    assert links.send_row(1, [b"1", b"2", b"3", b"4"])
    assert links.send_row(1, [b"5"])
    assert endpoint.rows == [[b"1", b"2", b"3", b"4"]]
    assert endpoint.sent == [b"1", b"2"]
    endpoint.room = 9
    face.on_writable(cast(Endpoint, endpoint), 7)
    assert endpoint.sent == [b"1", b"2", b"3", b"4", b"5"]
    assert not links.send_row(1, [bytes(1000)] * 11)


def test_a_row_goes_message_by_message_where_packets_are_not_shared(links: Links) -> None:
    class Alone(Remembering):
        def send(self, assoc: int, data: bytes, ppid: int) -> bool:
            sent.append(data)
            return True

    sent: list[bytes] = []
    face = Face(links, Protocol.ASAP)
    face.on_up(cast(Endpoint, Alone()), 7, PEER)
    assert links.send_row(1, [b"1", b"2"])
    assert sent == [b"1", b"2"]


def test_a_row_to_an_association_that_has_ended_is_swallowed(links: Links) -> None:
    endpoint, face = Row(room=9), Face(links, Protocol.ASAP)
    face.on_up(cast(Endpoint, endpoint), GONE, PEER)
    assert links.send_row(1, [b"1"])
    assert links.send_row(2, [b"1"])
    assert endpoint.sent == []


@pytest.mark.parametrize("way", ["sent", "received"])
def test_a_message_either_way_keeps_it(links: Links, way: str) -> None:
    endpoint = Remembering()
    face = Face(links, Protocol.ASAP)
    face.on_up(cast(Endpoint, endpoint), 7, PEER)
    events: dict[str, Callable[[], object]] = {
        "sent": lambda: links.send(1, b"x"),
        "received": lambda: face.on_message(cast(Endpoint, endpoint), 7, b"x", Protocol.ASAP.value),
    }
    for _ in range(5 * IDLE_ROUNDS):
        links.sweep()
        events[way]()
    assert endpoint.shut == []
