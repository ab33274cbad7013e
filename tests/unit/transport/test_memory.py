"""The network in memory, step by step and without a loop."""

import errno

import pytest

from rserpool.transport.interface import AssociationGone, Down
from rserpool.transport.memory import ROOM, MemoryEndpoint, MemoryNetwork
from tests.unit.transport.support import Recorder

LEFT, RIGHT = "10.0.0.1", "fd00::2"


class Two:
    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.heard, self.said = Recorder(), Recorder()
        self.server = self.network.endpoint(self.heard, addresses=[RIGHT], port=3863)
        self.client = self.network.endpoint(self.said, addresses=[LEFT])
        self.assoc = self.client.connect([RIGHT], 3863)

    @property
    def server_assoc(self) -> int:
        (assoc,) = self.heard.up
        return assoc


@pytest.fixture
def two() -> Two:
    made = Two()
    made.network.run()
    return made


def test_nothing_happens_before_a_step() -> None:
    two = Two()
    assert not two.heard.order
    assert two.network.step()
    assert (two.heard.order, two.said.order) == (["up"], [])
    assert two.network.step()
    assert not two.network.step()
    assert two.said.order == ["up"]


def test_what_is_sent_arrives_in_order(two: Two) -> None:
    for number in range(10):
        assert two.client.send(two.assoc, bytes([number]), number)
    assert two.network.run() == 10
    assert [(data[0], ppid) for _, data, ppid in two.heard.messages] == [(n, n) for n in range(10)]


def test_a_cut_link_holds_back_and_a_healed_one_delivers(two: Two) -> None:
    two.network.cut(LEFT, RIGHT)
    for number in range(3):
        assert two.client.send(two.assoc, bytes([number]), 11)
    assert two.network.run() == 0
    two.network.heal(LEFT, RIGHT)
    assert two.client.send(two.assoc, b"\3", 11)
    two.network.run()
    assert [data for _, data, _ in two.heard.messages] == [b"\0", b"\1", b"\2", b"\3"]


def test_a_cut_link_lets_nobody_connect(two: Two) -> None:
    two.network.cut(LEFT, RIGHT)
    stranger = two.network.endpoint(two.said, addresses=[LEFT])
    assoc = stranger.connect([RIGHT], 3863)
    two.network.run()
    assert two.said.down == [(assoc, Down.CANT_START)]


def test_lost_is_lost_on_both_sides(two: Two) -> None:
    two.network.lose(two.client, two.assoc)
    with pytest.raises(AssociationGone):
        two.client.send(two.assoc, b"x", 11)
    two.network.run()
    assert two.heard.reasons == two.said.reasons == [Down.LOST]


def test_a_vanished_peer_is_lost(two: Two) -> None:
    two.network.vanish(two.client)
    two.network.run()
    assert two.heard.reasons == [Down.LOST]
    assert two.said.order == ["up"]


def test_a_crashed_peer_that_comes_back_restarts(two: Two) -> None:
    two.network.crash(two.client)
    assert two.server.send(two.server_assoc, b"into the void", 11)
    two.network.run()
    said = Recorder()
    again = two.network.endpoint(said, addresses=[LEFT], port=two.client.port)
    assoc = again.connect([RIGHT], 3863)
    two.network.run()
    assert two.heard.restarted == [two.server_assoc]
    assert assoc in said.up
    assert again.send(assoc, b"anew", 11)
    assert two.server.send(two.server_assoc, b"hello", 11)
    two.network.run()
    assert two.heard.messages == [(two.server_assoc, b"anew", 11)]
    assert (assoc, b"hello", 11) in said.messages


def test_a_crashed_peer_that_forgot_aborts(two: Two) -> None:
    two.network.crash(two.client)
    two.network.endpoint(Recorder(), addresses=[LEFT], port=two.client.port)
    assert two.server.send(two.server_assoc, b"x", 11)
    two.network.run()
    assert two.heard.reasons == [Down.ABORTED]


def test_room_is_bounded_and_comes_back(two: Two) -> None:
    sent = 0
    while two.client.send(two.assoc, bytes(60_000), 11):
        sent += 60_000
    assert sent <= ROOM
    assert not two.said.writable
    two.network.run()
    assert two.said.writable == [two.assoc]
    assert len(two.heard.messages) * 60_000 == sent
    assert two.client.send(two.assoc, b"x", 11)
    two.network.run()
    assert two.said.writable == [two.assoc]


def test_datagrams_reach_who_joined(two: Two) -> None:
    heard: list[tuple[bytes, str, int]] = []
    leave = two.network.join("239.0.0.50", 3863, lambda data, address, port: heard.append((data, str(address), port)))
    two.server.send_datagram(b"here", "239.0.0.50", 3863)
    two.server.send_datagram(b"not here", "239.0.0.51", 3863)
    two.network.run()
    leave()
    two.server.send_datagram(b"no more", "239.0.0.50", 3863)
    two.network.run()
    assert heard == [(b"here", RIGHT, 3863)]


def test_a_taken_port_is_refused_and_a_closed_one_is_free(two: Two) -> None:
    with pytest.raises(OSError, match="fd00::2 port 3863") as caught:
        two.network.endpoint(Recorder(), addresses=[RIGHT], port=3863)
    assert caught.value.errno == errno.EADDRINUSE
    two.server.close_now()
    two.network.run()
    assert two.said.reasons == [Down.SHUTDOWN]
    assert two.network.endpoint(Recorder(), addresses=[RIGHT], port=3863).port == 3863


def test_a_busy_network_is_noticed() -> None:
    class Parrot(Recorder):
        def on_message(self, endpoint: object, assoc: int, data: bytes, ppid: int) -> None:
            assert isinstance(endpoint, MemoryEndpoint)
            endpoint.send(assoc, data, ppid)

    network = MemoryNetwork()
    network.endpoint(Parrot(), addresses=[RIGHT], port=1)
    client = network.endpoint(Parrot(), addresses=[LEFT])
    assoc = client.connect([RIGHT], 1)
    network.run()
    client.send(assoc, b"x", 11)
    with pytest.raises(RuntimeError, match="still busy"):
        network.run(1000)
