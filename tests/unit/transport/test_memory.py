"""The memory network, step by step and without a loop."""

import errno

import pytest

from rserpool.transport.interface import AssociationGone, Down
from rserpool.transport.memory import ROOM, MemoryEndpoint, MemoryNetwork
from tests.unit.transport.support import Recorder

LEFT, RIGHT = "10.0.0.1", "fd00::2"


class Two:
    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.at_server, self.at_client = Recorder(), Recorder()
        self.server = self.network.endpoint(self.at_server, addresses=[RIGHT], port=3863)
        self.client = self.network.endpoint(self.at_client, addresses=[LEFT])
        self.assoc = self.client.connect([RIGHT], 3863)

    @property
    def server_assoc(self) -> int:
        (assoc,) = self.at_server.up
        return assoc


@pytest.fixture
def two() -> Two:
    made = Two()
    made.network.run()
    return made


def test_nothing_happens_before_a_step() -> None:
    two = Two()
    assert not two.at_server.order
    assert two.network.step()
    assert (two.at_server.order, two.at_client.order) == (["up"], [])
    assert two.network.step()
    assert not two.network.step()
    assert two.at_client.order == ["up"]


def test_messages_arrive_in_order(two: Two) -> None:
    for number in range(10):
        assert two.client.send(two.assoc, bytes([number]), number)
    assert two.network.run() == 10
    assert [(data[0], ppid) for _, data, ppid in two.at_server.messages] == [(n, n) for n in range(10)]


def test_a_cut_link_delays_messages_until_it_is_healed(two: Two) -> None:
    two.network.cut(LEFT, RIGHT)
    for number in range(3):
        assert two.client.send(two.assoc, bytes([number]), 11)
    assert two.network.run() == 0
    two.network.heal(LEFT, RIGHT)
    assert two.client.send(two.assoc, b"\3", 11)
    two.network.run()
    assert [data for _, data, _ in two.at_server.messages] == [b"\0", b"\1", b"\2", b"\3"]


def test_no_association_starts_over_a_cut_link(two: Two) -> None:
    two.network.cut(LEFT, RIGHT)
    stranger = two.network.endpoint(two.at_client, addresses=[LEFT])
    assoc = stranger.connect([RIGHT], 3863)
    two.network.run()
    assert two.at_client.down == [(assoc, Down.CANT_START)]


def test_a_lost_association_ends_on_both_sides(two: Two) -> None:
    two.network.lose(two.client, two.assoc)
    with pytest.raises(AssociationGone):
        two.client.send(two.assoc, b"x", 11)
    two.network.run()
    assert two.at_server.reasons == two.at_client.reasons == [Down.LOST]


def test_a_vanished_peer_is_lost(two: Two) -> None:
    two.network.vanish(two.client)
    two.network.run()
    assert two.at_server.reasons == [Down.LOST]
    assert two.at_client.order == ["up"]


def test_a_crashed_peer_that_reconnects_restarts_the_association(two: Two) -> None:
    two.network.crash(two.client)
    assert two.server.send(two.server_assoc, b"into the void", 11)
    two.network.run()
    at_client = Recorder()
    again = two.network.endpoint(at_client, addresses=[LEFT], port=two.client.port)
    assoc = again.connect([RIGHT], 3863)
    two.network.run()
    assert two.at_server.restarted == [two.server_assoc]
    assert assoc in at_client.up
    assert again.send(assoc, b"again", 11)
    assert two.server.send(two.server_assoc, b"hello", 11)
    two.network.run()
    assert two.at_server.messages == [(two.server_assoc, b"again", 11)]
    assert (assoc, b"hello", 11) in at_client.messages


def test_a_crashed_peer_that_only_listens_again_aborts(two: Two) -> None:
    two.network.crash(two.client)
    two.network.endpoint(Recorder(), addresses=[LEFT], port=two.client.port)
    assert two.server.send(two.server_assoc, b"x", 11)
    two.network.run()
    assert two.at_server.reasons == [Down.ABORTED]


def test_room_is_limited_and_is_freed_by_delivery(two: Two) -> None:
    sent = 0
    while two.client.send(two.assoc, bytes(60_000), 11):
        sent += 60_000
    assert sent <= ROOM
    assert not two.at_client.writable
    two.network.run()
    assert two.at_client.writable == [two.assoc]
    assert len(two.at_server.messages) * 60_000 == sent
    assert two.client.send(two.assoc, b"x", 11)
    two.network.run()
    assert two.at_client.writable == [two.assoc]


def test_datagrams_reach_joined_listeners(two: Two) -> None:
    at_server: list[tuple[bytes, str, int]] = []
    leave = two.network.join(
        "239.0.0.50", 3863, lambda data, address, port: at_server.append((data, str(address), port))
    )
    two.server.send_datagram(b"here", "239.0.0.50", 3863)
    two.server.send_datagram(b"not here", "239.0.0.51", 3863)
    two.network.run()
    leave()
    two.server.send_datagram(b"no more", "239.0.0.50", 3863)
    two.network.run()
    assert at_server == [(b"here", RIGHT, 3863)]


def test_a_taken_port_is_refused_and_a_closed_one_is_free(two: Two) -> None:
    with pytest.raises(OSError, match="fd00::2 port 3863") as caught:
        two.network.endpoint(Recorder(), addresses=[RIGHT], port=3863)
    assert caught.value.errno == errno.EADDRINUSE
    two.server.close_now()
    two.network.run()
    assert two.at_client.reasons == [Down.SHUTDOWN]
    assert two.network.endpoint(Recorder(), addresses=[RIGHT], port=3863).port == 3863


def test_a_network_that_never_settles_raises() -> None:
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
