"""The fast lane's answers, compared with octets written by hand."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from tests.support import elements as e
from tests.support.lanes import lane_of

OWN, NOW, LINE = 7, 10**12, 33
ECHO = e.handle_parameter(b"Echo1")
ITEMS = 0x803F


def make() -> Handlespace:
    space = Handlespace(OWN, seed=1, wheel=Wheel(NOW))
    for identifier, load in ((1, 5), (2, 3), (3, 4)):
        octets = e.element(identifier, e.LUD, (load, 10), asap=e.sctp(9))
        space.register(b"Echo1", octets, home=OWN, connection=LINE if identifier < 3 else 0)
    space.register(b"Foreign", e.element(1, e.LU, (1,)), home=8, connection=LINE)
    space.register(b"Even", e.element(1, e.WRAND, (1,), life=-1), home=OWN, connection=LINE)
    return space


@pytest.fixture
def space() -> Handlespace:
    return make()


def listed(identifier: int, load: int) -> bytes:
    return e.element(identifier, e.LUD, (load, 10), home=OWN)


def resolve(*more: bytes, flags: int = 0, unpadded: int = 0, handle: bytes = ECHO) -> bytes:
    return e.message(5, handle, *more, flags=flags, unpadded=unpadded)


def items(number: int) -> bytes:
    return e.parameter(ITEMS, struct.pack(">I", number))


def ack(identifier: int, handle: bytes = ECHO, flags: int = 0) -> bytes:
    return e.message(8, handle, e.identifier_parameter(identifier), flags=flags)


def renewal(identifier: int, load: int, *, handle: bytes = ECHO, **fields: object) -> bytes:
    return e.message(1, handle, e.element(identifier, e.LUD, (load, 10), **fields))  # type: ignore[arg-type]


@pytest.mark.conformance("ASAP-3.3-13", "ASAP-3.3-14", "ASAP-3.3-15")
def test_resolution_lists_all_elements(space: Handlespace) -> None:
    expected = e.message(6, ECHO, e.policy(e.LUD, (3, 10)), listed(2, 3), listed(3, 4), listed(1, 5))
    assert lane_of(space, 0).answer(resolve(), NOW) == expected
    expected = e.message(6, ECHO, e.policy(e.LUD, (4, 10)), listed(3, 4), listed(1, 5), listed(2, 3))
    assert lane_of(space, LINE).answer(resolve(), NOW) == expected


@pytest.mark.parametrize("unpadded", [0, 3])
def test_message_length_may_exclude_the_final_padding(space: Handlespace, unpadded: int) -> None:
    assert lane_of(space, 0).answer(resolve(unpadded=unpadded), NOW) is not None
    for wrong in (1, 2, 4, -4):
        assert lane_of(space, 0).answer(resolve(unpadded=wrong), NOW) is None
    assert lane_of(space, 0).answer(resolve()[:-3], NOW) is None


def test_resolution_lists_the_requested_number_of_elements(space: Handlespace) -> None:
    space.default_items = 2
    for asked, count in ((resolve(), 2), (resolve(items(1)), 1), (resolve(items(3)), 3), (resolve(items(2**31)), 3)):
        answer = lane_of(space, 0).answer(asked, NOW)
        assert answer is not None
        assert (len(answer) - 4 - len(ECHO) - 16) / len(listed(1, 1)) == count


def test_acknowledgement_arms_the_next_keep_alive(space: Handlespace) -> None:
    view = space.find(b"Echo1", 1)
    assert view is not None
    view.probed, view.bad_reports = True, 3
    space.keep_alive_interval = 1000
    assert lane_of(space, LINE).answer(ack(1), NOW) == b""
    assert (view.probed, view.bad_reports) == (False, 3)
    due = space.wheel.next_expiry()
    assert due is not None
    assert NOW + 500 <= due <= NOW + 1500
    assert space.expire(NOW + 1500) == [(Timer.KEEP_ALIVE, b"Echo1", 1)]


def test_renewal_changes_the_policy_values(space: Handlespace) -> None:
    view = space.find(b"Echo1", 1)
    assert view is not None
    view.bad_reports, view.marked, view.probed = 3, True, True
    assert lane_of(space, LINE).answer(renewal(1, 2), NOW) == e.message(3, ECHO, e.identifier_parameter(1))
    assert view.parameter == e.element(1, e.LUD, (2, 10), home=OWN, asap=e.sctp(9))
    assert (view.bad_reports, view.marked, view.probed) == (0, False, False)
    assert space.updated == [(b"Echo1", 1)]
    assert space.select(b"Echo1", 0, advance=False) == [1, 2, 3]
    space._check()
    (keep_alive,) = space.expire(NOW + 299 * 10**6)
    assert keep_alive == (Timer.KEEP_ALIVE, b"Echo1", 1)
    assert space.wheel.next_expiry() == NOW + 300 * 10**6


def test_renewal_arms_the_life_timer_in_the_life_unit_up_to_the_limit(space: Handlespace) -> None:
    space.life_unit = 1000
    assert lane_of(space, LINE).answer(renewal(1, 9, home=OWN, asap=e.sctp(9)), NOW) is not None
    assert space.wheel.next_expiry() == NOW + 300 * 1000
    space.life_limit = 5
    assert lane_of(space, LINE).answer(renewal(1, 9), NOW) is not None
    assert space.expire(NOW + 5) == [(Timer.LIFE, b"Echo1", 1)]


def test_renewal_resets_the_degradation(space: Handlespace) -> None:
    for _ in range(10):
        space.select(b"Echo1", 1)
    assert lane_of(space, LINE).answer(renewal(2, 3), NOW) is not None
    assert space.select(b"Echo1", 1) == [2]


def test_renewal_with_unlimited_life_disarms_the_life_timer(space: Handlespace) -> None:
    space.register(b"Ever", e.element(1, e.LU, (1,), life=-1), home=OWN, connection=LINE)
    space.arm(b"Ever", 1, Timer.LIFE, NOW + 5)
    ever = e.message(1, e.handle_parameter(b"Ever"), e.element(1, e.LU, (9,), life=-1))
    assert lane_of(space, LINE).answer(ever, NOW) is not None
    assert [due[0] for due in space.expire(NOW + 10**9)] == [Timer.KEEP_ALIVE]


def test_renewal_of_a_policy_that_is_not_adaptive_is_declined(space: Handlespace) -> None:
    even = e.message(1, e.handle_parameter(b"Even"), e.element(1, e.WRAND, (9,), life=-1))
    assert lane_of(space, LINE).answer(even, NOW) is None


DECLINED = {
    "nothing": (b"", LINE),
    "half a header": (b"\x05\x00\x00", LINE),
    "no parameter": (e.message(5), LINE),
    "subscription": (resolve(flags=1), LINE),
    "0 items": (resolve(items(0)), LINE),
    "items twice": (resolve(items(1), items(1)), LINE),
    "long items": (resolve(e.parameter(ITEMS, bytes(8))), LINE),
    "unknown parameter": (resolve(e.parameter(0xC123, b"")), LINE),
    "items first": (e.message(5, items(1), ECHO), LINE),
    "unknown pool": (resolve(handle=e.handle_parameter(b"Echo2")), LINE),
    "empty handle": (resolve(handle=e.handle_parameter(b"")), LINE),
    "octets after the message": (resolve() + bytes(4), LINE),
    "another message": (e.message(9, ECHO, e.identifier_parameter(1)), LINE),
    "acknowledgement over another association": (ack(1), LINE + 1),
    "acknowledgement of an element without association": (ack(3), 0),
    "acknowledgement of an unknown element": (ack(4), LINE),
    "acknowledgement of another registrar's element": (ack(1, e.handle_parameter(b"Foreign")), LINE),
    "acknowledgement without identifier": (e.message(8, ECHO), LINE),
    "renewal over another association": (renewal(1, 9), LINE + 1),
    "renewal of an element without association": (renewal(3, 9), 0),
    "registration": (renewal(4, 9), LINE),
    "another life": (renewal(1, 9, life=301), LINE),
    "another transport": (renewal(1, 9, user=e.sctp(7778)), LINE),
    "more addresses": (renewal(1, 9, user=e.sctp(addresses=2)), LINE),
    "another ASAP transport": (renewal(1, 9, asap=e.sctp(10)), LINE),
    "another home": (renewal(1, 9, home=8), LINE),
    "another policy": (e.message(1, ECHO, e.element(1, e.PLU, (9, 10))), LINE),
    "a longer policy": (e.message(1, ECHO, e.element(1, e.LUD_DPF, (9, 10, 1, 1))), LINE),
    "weight 0": (e.message(1, e.handle_parameter(b"Even"), e.element(1, e.WRAND, (0,), life=-1)), LINE),
    "renewal of another registrar's element": (
        e.message(1, e.handle_parameter(b"Foreign"), e.element(1, e.LU, (2,))),
        LINE,
    ),
    "two elements": (e.message(1, ECHO, e.element(1, e.LUD, (9, 9)), e.element(2, e.LUD, (9, 9))), LINE),
    "no fields": (e.message(1, ECHO, e.parameter(10, bytes(4))), LINE),
}


def state(space: Handlespace) -> object:
    """Return all state that a message could change."""
    views = [view for pool in space.pools() for view in pool]
    return (
        [(view.parameter, view.connection, view.bad_reports, view.probed, view.marked) for view in views],
        [space.select(pool.handle, 0, advance=False) for pool in space.pools()],
        (len(space.wheel), space.wheel.next_expiry()),
        list(space.updated),
    )


@pytest.mark.parametrize("name", DECLINED)
def test_declined_messages_change_nothing(space: Handlespace, name: str) -> None:
    data, connection = DECLINED[name]
    before = state(space)
    assert lane_of(space, connection).answer(data, NOW) is None
    assert state(space) == before
    space._check()


VALID = [resolve(), resolve(items(2)), ack(1), renewal(1, 77), renewal(2, 1, asap=e.sctp(9), home=OWN)]


@settings(max_examples=500)
@given(
    data=st.sampled_from(VALID),
    changes=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 12),
)
def test_mutated_messages_are_answered_or_change_nothing(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    space = make()
    mutated = bytearray(data[: len(data) - cut] if cut < 9 else data)
    for place, octet in changes:
        mutated[place % len(mutated)] = octet
    before = state(space)
    answer = lane_of(space, LINE).answer(bytes(mutated), NOW)
    if answer is None:
        assert state(space) == before
    else:
        assert answer == b"" or len(answer) % 4 == 0
    space._check()
