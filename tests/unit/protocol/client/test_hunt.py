"""The hunt for a home registrar (RFC 5352 3.6, 3.7)."""

import itertools
from ipaddress import ip_address

import pytest

from rserpool.messages import (
    DeregistrationResponse,
    HandleResolution,
    Registration,
    SCTPTransport,
    TCPTransport,
)
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.client.actions import Dial
from tests.support.client_bench import POOL, SECOND, NodeBench, registrations, sent, sent_to, server


@pytest.mark.conformance("ASAP-3.6-07", "ASAP-3.6-08", "ASAP-3.6-09")
def test_at_most_three_configured_registrars_are_dialled_at_once() -> None:
    bench = NodeBench(5)
    assert len(bench.dialled) == 3
    seen = set(bench.hosts())
    assert seen < {1, 2, 3, 4, 5}


def test_candidates_are_dialled_in_random_order() -> None:
    first = set()
    for seed in range(40):
        bench = NodeBench(5, start=False)
        for _ in range(seed):
            bench.context.randomness.random()
        bench.take(bench.node.start(bench.now))
        first.add(tuple(bench.hosts()))
    assert len(first) > 5


@pytest.mark.conformance("ASAP-3.6-10", "ASAP-3.6-13", "ASAP-3.6-14")
def test_each_round_is_longer_and_dials_other_candidates() -> None:
    bench = NodeBench(6)
    first = set(bench.hosts())
    lengths = []
    rounds = [first]
    for _ in range(6):
        began = bench.now
        while set(bench.hosts()) == rounds[-1]:
            bench.wait(1)
        lengths.append(round((bench.now - began) / SECOND))
        rounds.append(set(bench.hosts()))
    assert lengths == [10, 20, 40, 60, 60, 60]
    assert all(one.isdisjoint(other) for one, other in itertools.pairwise(rounds))
    assert all(len(one) == 3 for one in rounds)


@pytest.mark.conformance("ASAP-3.6-12")
def test_refused_association_is_replaced_at_once() -> None:
    bench = NodeBench(5)
    before = set(bench.hosts())
    (action,) = (one for one in bench.refuse(next(iter(bench.dialled))) if isinstance(one, Dial))
    assert int(str(action.addresses[0])[-1]) not in before
    assert len(bench.dialled) == 3


def test_only_registrar_is_dialled_again_after_a_pause() -> None:
    bench = NodeBench(1, hunt_retry=1.0)
    (number,) = bench.dialled
    assert not bench.refuse(number)
    assert not bench.wait(0.9)
    assert bench.hosts() == []
    bench.wait(0.2)
    assert bench.hosts() == [1]


@pytest.mark.conformance("ASAP-3.6-11", "ASAP-3.6-15")
def test_one_registrar_becomes_home_and_the_others_are_left() -> None:
    bench = NodeBench(3)
    numbers = list(bench.dialled)
    bench.element()
    bench.accept(numbers[0])
    bench.accept(numbers[1])
    actions = bench.wait(0.1)
    home = bench.context.home
    assert home is not None
    assert home.number in numbers[:2]
    assert Abort(numbers[2]) in bench.actions
    assert Shutdown(({*numbers[:2]} - {home.number}).pop()) in bench.actions
    assert len(registrations(actions)) == 1
    assert not [one for one in bench.wait(25) if isinstance(one, Dial)]


def test_home_is_chosen_at_random_among_registrars_that_came_up() -> None:
    chosen = set()
    for seed in range(30):
        bench = NodeBench(3)
        numbers = list(bench.dialled)
        for _ in range(seed):
            bench.context.randomness.random()
        for number in numbers:
            bench.accept(number)
        assert bench.context.home is not None
        chosen.add(numbers.index(bench.context.home.number))
    assert chosen == {0, 1, 2}


@pytest.mark.conformance("ASAP-3.6-11")
def test_next_hunt_begins_with_the_shortest_round() -> None:
    bench = NodeBench(1)
    bench.element()
    bench.wait(35)
    bench.refuse(bench.accept())
    (number,) = bench.dialled
    bench.wait(9.9)
    assert Abort(number) not in bench.actions
    bench.wait(0.2)
    assert Abort(number) in bench.actions


def test_incoming_associations_count_against_the_limit_of_three() -> None:
    bench = NodeBench(5, start=False)
    bench.incoming(21)
    bench.incoming(22)
    bench.take(bench.node.start(bench.now))
    assert len(bench.dialled) == 1


def test_incoming_associations_always_leave_room_for_one_candidate() -> None:
    bench = NodeBench(2, start=False, incoming=10)
    for host in range(20, 35):
        bench.incoming(host)
    assert len(bench.context.links) == 10
    assert bench.context.counters["associations refused"] == 5
    bench.now += 31 * SECOND
    bench.left.clear()
    taken = bench.incoming(50)
    assert taken in bench.context.links, "a long silent one makes room"
    bench.bury()
    assert len(bench.context.links) == 10
    bench.take(bench.node.start(bench.now))
    assert len(bench.dialled) == 1
    bench.refuse(next(iter(bench.dialled)))
    assert len(bench.dialled) == 1


def test_abandoned_association_counts_until_its_end() -> None:
    bench = NodeBench(6)
    bench.left = set()
    numbers = set(bench.dialled)
    bench.now += 10 * SECOND
    actions = bench.take(bench.node.advance(bench.now))
    assert {one.association for one in actions if isinstance(one, Abort)} == numbers
    assert not any(isinstance(one, Dial) for one in actions)
    assert [type(one) for one in bench.bury()].count(Dial) == 3


# Announcements


@pytest.mark.conformance("ASAP-3.6-03", "ASAP-3.6-05")
def test_announcement_without_transports_names_its_source_address() -> None:
    bench = NodeBench(0)
    bench.announce(port=4000)
    (dial,) = bench.dialled.values()
    assert (str(dial.addresses[0]), dial.port, dial.sctp) == ("10.44.0.9", 4000, True)
    bench.refuse(dial.association)
    (dial,) = bench.dialled.values()
    assert (str(dial.addresses[0]), dial.port) == ("10.44.0.9", 3863)


@pytest.mark.conformance("ASAP-3.6-03")
def test_announced_transports_are_dialled_sctp_first() -> None:
    tcp = TCPTransport(port=33, address=ip_address("10.44.0.8"))
    sctp = SCTPTransport(port=34, addresses=(ip_address("10.44.0.8"), ip_address("10.45.0.8")))
    for allowed in (False, True):
        bench = NodeBench(0, tcp=allowed)
        bench.announce(tcp, sctp)
        (dial,) = bench.dialled.values()
        assert (len(dial.addresses), dial.port, dial.sctp) == (2, 34, True)
        bench.refuse(dial.association)
        assert [dial.sctp for dial in bench.dialled.values()] == [False] * allowed


@pytest.mark.conformance("ASAP-3.6-04", "ASAP-3.6-06")
def test_silent_registrar_is_dropped_after_t7() -> None:
    bench = NodeBench(0, start=False)
    sctp = SCTPTransport(port=3863, addresses=server(9).addresses)
    for _ in range(5):
        bench.announce(sctp)
        bench.wait(4)
    assert [one.where.port for one in bench.context.candidates.known(bench.now)] == [3863]
    bench.wait(9)
    assert bench.context.candidates.known(bench.now) == []
    bench.take(bench.node.start(bench.now))
    assert not bench.dialled


def test_slow_announcements_lengthen_t7() -> None:
    bench = NodeBench(0, start=False)
    for _ in range(3):
        bench.announce(SCTPTransport(port=3863, addresses=server(9).addresses))
        bench.wait(11)
    assert len(bench.context.candidates.known(bench.now)) == 1
    bench.wait(23)
    assert not bench.context.candidates.known(bench.now)


def test_configured_registrars_never_expire() -> None:
    bench = NodeBench(2, start=False)
    bench.wait(100_000)
    assert len(bench.context.candidates.known(bench.now)) == 2


@pytest.mark.conformance("SEC-9.2-12")
def test_forged_announcements_add_only_a_bounded_number_of_candidates() -> None:
    bench = NodeBench(2, start=False, candidates=8, announcement_rate=1000.0)
    for number in range(10_000):
        bench.now += 100
        addresses = (ip_address(0x0A000000 + number),)
        bench.announce(SCTPTransport(port=1 + number % 60_000, addresses=addresses), identifier=number + 1)
        bench.announce_octets(b"\x0a\x00\x00\x08" + number.to_bytes(3, "big"))
    assert len(bench.context.candidates) == 10
    known = {str(one.where.addresses[0]) for one in bench.context.candidates.known(bench.now)}
    assert {"10.44.0.1", "10.44.0.2"} < known
    assert bench.context.counters["announcements ignored"] > 8000
    assert not bench.dialled
    bench.take(bench.node.start(bench.now))
    assert len(bench.dialled) == 3


def test_new_registrar_replaces_a_long_silent_candidate() -> None:
    bench = NodeBench(0, start=False, candidates=4)
    for number in range(10):
        bench.announce(SCTPTransport(port=1 + number, addresses=server(9).addresses))
    assert len(bench.context.candidates) == 4
    bench.wait(3600)
    bench.announce(SCTPTransport(port=3863, addresses=server(8).addresses))
    assert [one.where for one in bench.context.candidates.known(bench.now)] == [server(8)]


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.1.185", "fe80::1"])
def test_unusable_addresses_are_not_candidates(host: str) -> None:
    bench = NodeBench(0)
    bench.announce(SCTPTransport(port=3863, addresses=(ip_address(host),)))
    data = b"\x0a\x00\x00\x08\x00\x00\x00\x07"
    bench.take(bench.node.announced(data, ip_address(host), 3863, bench.now))
    assert len(bench.context.candidates) == 0


def test_registrar_announced_in_an_empty_round_is_dialled_at_once() -> None:
    bench = NodeBench(0)
    bench.wait(25)
    assert not bench.dialled
    bench.announce(SCTPTransport(port=3863, addresses=server(4).addresses))
    assert bench.hosts() == [4]


# Failures


def test_registrar_that_was_lost_is_dialled_after_the_others() -> None:
    bench = NodeBench(2)
    element = bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.grant(first, element)
    bench.wait(60)
    bench.refuse(first)
    assert bench.hosts() == [2]
    bench.wait(1.1)
    assert bench.hosts() == [1, 2], "the first one is dialled again because the second does not answer"


@pytest.mark.parametrize(
    "octets",
    [
        b"\x03\x00\x00\x02",
        b"\x03",
        DeregistrationResponse(pool_handle=POOL, pe_identifier=1).encode()[:-3],
        HandleResolution(pool_handle=POOL).encode(),
        bytes.fromhex("060000100009000c4563686f506f6f6c"),
    ],
)
def test_registrar_that_sends_nonsense_is_replaced(octets: bytes) -> None:
    bench = NodeBench(2)
    bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.receive(first, octets)
    assert Abort(first) in bench.actions
    assert bench.hosts() == [2]
    assert bench.context.home is None


@pytest.mark.parametrize("octets", [b"\x0f\x00\x00\x04", b"\x4f\x00\x00\x04", b"\xff\x00\x00\x04"])
@pytest.mark.conformance("PAR-4-01", "PAR-4-02", "PAR-4-03", "PAR-4-08")
def test_unknown_message_types_do_not_cost_the_home(octets: bytes) -> None:
    bench = NodeBench(2)
    bench.element()
    bench.accept(bench.number_of(1))
    bench.wait(0.1)
    home = bench.context.home
    assert home is not None
    said = bench.receive(home.number, octets)
    assert bench.context.home is home
    assert [one.operation_error[0].code for one in said] == [2] * (octets[0] == 0x4F)  # type: ignore[attr-defined]


@pytest.mark.conformance("ASAP-3.7.1-01", "ASAP-3.7.1-02", "ASAP-3.7.1-03", "ASAP-3.1-12", "ASAP-3.1-13")
def test_open_requests_are_repeated_at_the_next_registrar() -> None:
    bench = NodeBench(2)
    bench.element()
    bench.resolve()
    first = bench.number_of(1)
    bench.accept(first)
    asked = sent_to(bench.wait(0.1), first)
    assert {type(one) for one in asked} == {Registration, HandleResolution}
    second = bench.number_of(2) if 2 in bench.hosts() else None
    actions = bench.refuse(first)
    second = second or bench.number_of(2)
    assert not sent(actions)
    mark = len(bench.actions)
    bench.accept(second)
    assert sent_to(bench.actions[mark:], second) == asked


def test_incoming_association_of_a_candidate_becomes_home() -> None:
    bench = NodeBench(1, start=False)
    number = bench.incoming(1)
    bench.take(bench.node.start(bench.now))
    assert not bench.dialled
    assert bench.context.home is not None
    assert bench.context.home.number == number


def test_stopped_node_does_nothing_more() -> None:
    bench = NodeBench(3)
    home = bench.accept(next(iter(bench.dialled)))
    bench.element()
    bench.take(bench.node.stop(bench.now))
    assert Shutdown(home) in bench.actions
    assert len(bench.context.wheel) == 0
    assert not [one for one in bench.wait(100) if not isinstance(one, Abort | Shutdown)]
    assert bench.node.up(bench.node.number(), None, bench.now)  # type: ignore[arg-type]
    assert not bench.context.links
