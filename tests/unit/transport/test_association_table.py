"""The association table: numbers, waiting messages, failed calls, restarts, idle associations."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from typing import cast

import pytest

from rserpool.model.numbers import ASAP_PPID, ENRP_PPID
from rserpool.protocol.peer import Peer
from rserpool.transport.association_table import (
    IDLE_ROUNDS,
    AssociationEntry,
    AssociationEvents,
    AssociationTable,
    EndpointAdapter,
)
from rserpool.transport.interface import AssociationGone, Down, Endpoint

GONE = 8
LIMIT = 1000
PEER = Peer(addresses=(ip_address("10.0.0.1"),), port=5, sctp=True)


class FakeEndpoint:
    """Has room for ``room`` messages, and records its calls."""

    def __init__(self, room: int = 99) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.shut: list[int] = []
        self.aborted: list[int] = []

    def connect(self, addresses: object, port: int) -> int:
        if not port:
            raise OSError
        return 7

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.sent.append(data)
        return True

    def shutdown(self, assoc: int) -> None:
        self.shut.append(assoc)

    def abort(self, assoc: int) -> None:
        self.aborted.append(assoc)


class BundlingEndpoint(FakeEndpoint):
    """Takes rows of messages too."""

    def __init__(self, room: int = 99) -> None:
        super().__init__(room)
        self.rows: list[list[bytes]] = []

    def send_row(self, assoc: int, messages: list[bytes], ppid: int) -> int:
        if assoc == GONE:
            raise AssociationGone
        self.rows.append(messages)
        taken = messages[: self.room]
        self.room -= len(taken)
        self.sent += taken
        return len(taken)


class Owner:
    """A table with one adapter, and the events that it reported."""

    def __init__(self, *, renew_restarted: bool = False) -> None:
        self.events: list[tuple[object, ...]] = []

        def recorder(name: str) -> Callable[..., None]:
            return lambda entry, *more: self.events.append((name, entry.number, *more))

        events = AssociationEvents(
            **{name: recorder(name) for name in ("up", "message", "down", "ignored", "overflow")}  # type: ignore[arg-type]
        )
        self.table = AssociationTable(events, count(1).__next__, renew_restarted=renew_restarted)
        self.adapter = EndpointAdapter(self.table, ASAP_PPID, LIMIT)

    def accept(self, endpoint: FakeEndpoint, assoc: int = 7) -> AssociationEntry:
        """Let an association of the endpoint come up."""
        self.adapter.on_up(cast(Endpoint, endpoint), assoc, PEER)
        return tuple(self.table)[-1]

    def connect(self, endpoint: FakeEndpoint, port: int = 5, number: int | None = None) -> bool:
        """Open an association whose failure is reported as the event "failed"."""
        failed: Callable[[], None] = lambda: self.events.append(("failed",))  # noqa: E731
        return self.adapter.connect(cast(Endpoint, endpoint), PEER.addresses, port, failed, number)


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_an_accepted_association_is_reported_with_its_peer_until_it_ends(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    entry = owner.accept(endpoint)
    assert entry.peer is PEER
    assert owner.table.get(entry.number) is entry
    owner.adapter.on_message(cast(Endpoint, endpoint), 7, b"x", ASAP_PPID)
    owner.adapter.on_message(cast(Endpoint, endpoint), 7, b"y", ENRP_PPID)
    owner.adapter.on_down(cast(Endpoint, endpoint), 7, Down.SHUTDOWN)
    assert owner.events == [("up", 1), ("message", 1, b"x"), ("ignored", 1, ENRP_PPID), ("down", 1)]
    assert len(owner.table) == 0


def test_an_opened_association_keeps_the_callers_number(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    assert owner.connect(endpoint, number=33)
    owner.table.send(33, b"x")
    owner.adapter.on_up(cast(Endpoint, endpoint), 7, PEER)
    assert owner.events == [("up", 33)]


def test_an_association_that_never_comes_up_is_reported_as_failed_only(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    assert owner.connect(endpoint)
    owner.adapter.on_down(cast(Endpoint, endpoint), 7, Down.CANT_START)
    assert owner.events == [("failed",)]
    assert len(owner.table) == 0


def test_a_call_that_the_system_refuses_fails_from_the_loop(owner: Owner) -> None:
    async def main() -> None:
        assert owner.connect(FakeEndpoint(), port=0)
        assert owner.events == []
        await asyncio.sleep(0)
        assert owner.events == [("failed",)]

    asyncio.run(main())


def test_a_second_association_with_the_same_peer_is_not_opened(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    owner.accept(endpoint)
    assert not owner.connect(endpoint)
    assert len(owner.table) == 1


def test_messages_wait_for_room_in_order(owner: Owner) -> None:
    endpoint = FakeEndpoint(room=0)
    entry = owner.accept(endpoint)
    for number in range(5):
        owner.table.send(entry.number, bytes([number]))
    owner.adapter.on_answer(cast(Endpoint, endpoint), 7, b"answer")
    endpoint.room = 9
    owner.adapter.on_writable(cast(Endpoint, endpoint), 7)
    assert endpoint.sent == [*(bytes([number]) for number in range(5)), b"answer"]
    assert entry.octets == 0


def test_a_peer_that_does_not_read_is_aborted_beyond_the_queue_limit(owner: Owner) -> None:
    endpoint = FakeEndpoint(room=0)
    entry = owner.accept(endpoint)
    owner.table.send(entry.number, bytes(LIMIT))
    assert not endpoint.aborted
    owner.table.send(entry.number, b"x")
    owner.table.send(entry.number, b"x")
    assert endpoint.aborted == [7]
    assert owner.events == [("up", 1), ("overflow", 1)]


def test_a_row_is_sent_in_one_call_and_its_rest_waits_for_room(owner: Owner) -> None:
    endpoint = BundlingEndpoint(room=2)
    entry = owner.accept(endpoint)
    owner.table.send_row(entry.number, [b"1", b"2", b"3", b"4"])
    owner.table.send_row(entry.number, [b"5"])
    assert endpoint.rows == [[b"1", b"2", b"3", b"4"]]
    assert endpoint.sent == [b"1", b"2"]
    endpoint.room = 9
    owner.adapter.on_writable(cast(Endpoint, endpoint), 7)
    assert endpoint.sent == [b"1", b"2", b"3", b"4", b"5"]


def test_a_row_is_sent_message_by_message_by_an_endpoint_that_cannot_bundle(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    owner.table.send_row(owner.accept(endpoint).number, [b"1", b"2"])
    assert endpoint.sent == [b"1", b"2"]


def test_a_row_to_an_association_that_has_ended_is_dropped(owner: Owner) -> None:
    endpoint = BundlingEndpoint()
    entry = owner.accept(endpoint, GONE)
    owner.table.send_row(entry.number, [b"1"])
    owner.table.send_row(entry.number + 1, [b"1"])
    assert endpoint.sent == []


def test_a_restarted_association_is_aborted(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    owner.accept(endpoint)
    owner.adapter.on_restart(cast(Endpoint, endpoint), 7)
    assert endpoint.aborted == [7]
    assert owner.events == [("up", 1)]


def test_a_restarted_association_comes_up_again_under_a_new_number() -> None:
    owner, endpoint = Owner(renew_restarted=True), FakeEndpoint()
    owner.accept(endpoint)
    owner.adapter.on_restart(cast(Endpoint, endpoint), 7)
    assert owner.events == [("up", 1), ("down", 1), ("up", 2)]
    (entry,) = owner.table
    assert (entry.number, entry.peer) == (2, PEER)
    assert not endpoint.aborted


def test_an_idle_association_is_shut_down_once(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    owner.accept(endpoint)
    for _ in range(IDLE_ROUNDS):
        owner.table.sweep()
        assert endpoint.shut == []
    for _ in range(3):
        owner.table.sweep()
        assert endpoint.shut == [7]


@pytest.mark.parametrize("way", ["sent", "received"])
def test_an_association_with_a_message_between_two_sweeps_is_not_idle(owner: Owner, way: str) -> None:
    endpoint = FakeEndpoint()
    entry = owner.accept(endpoint)
    exchange: dict[str, Callable[[], object]] = {
        "sent": lambda: owner.table.send(entry.number, b"x"),
        "received": lambda: owner.adapter.on_message(cast(Endpoint, endpoint), 7, b"x", ASAP_PPID),
    }
    for _ in range(5 * IDLE_ROUNDS):
        owner.table.sweep()
        exchange[way]()
    assert endpoint.shut == []


def test_abort_all_leaves_associations_that_are_still_being_opened(owner: Owner) -> None:
    endpoint = FakeEndpoint()
    owner.accept(endpoint, 6)
    owner.connect(endpoint)
    owner.table.abort_all()
    assert endpoint.aborted == [6]
