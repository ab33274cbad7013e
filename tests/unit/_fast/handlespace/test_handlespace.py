"""Edge cases of the handlespace: checksums, bounds, views, positions, timers, wrong arguments, memory."""

import gc
import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer, Verdict
from rserpool._fast.handlespace.views import PoolElementView, PoolView
from rserpool.errors import LocalProtocolError
from tests.support import elements as e

OWN = 7


@pytest.fixture
def space() -> Handlespace:
    return Handlespace(OWN, seed=1, wheel=Wheel(0))


def add(space: Handlespace, handle: bytes, identifier: int, kind: int = e.RR, *words: int, home: int = OWN) -> None:
    assert space.register(handle, e.element(identifier, kind, words), home=home) is Verdict.ADDED


@pytest.mark.conformance("ENRP-3.6.2-01", "ENRP-3.6.2-02")
def test_checksum_of_each_home_follows_its_elements(space: Handlespace) -> None:
    assert space.checksum() == 0xFFFF
    add(space, b"EchoPool", 0x12345678)
    assert space.checksum() == 0x29A5
    add(space, b"Pool5", 0xDEADBEEF)
    assert space.checksum() == 0x972B
    add(space, b"EchoPool", 0xAABBCC01, home=8)
    assert space.checksum(8) == 0x1B94
    assert space.remove(b"EchoPool", 0xAABBCC01)
    assert space.checksum(8) == 0xFFFF
    add(space, b"a", 0, home=9)
    assert space.checksum(9) == 0x9EFF
    assert space.homes() == [OWN, 9]
    assert space.home_size(9) == 1


def test_checksum_accumulator_wraps_at_32_bits(space: Handlespace) -> None:
    handle, count = b"\xff" * 32, 4200
    for identifier in range(0xFFFF0000, 0xFFFF0000 + count):
        add(space, handle, identifier)
    total = (16 * 0xFFFF * count + sum(0xFFFF + low for low in range(count))) % 2**32
    assert 16 * 0xFFFF * count > 2**32
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    assert space.checksum() == ~total & 0xFFFF


@pytest.mark.conformance("ASAP-3.1-23", "ASAP-3.1-24", "ASAP-3.1-26", "ASAP-3.1-28")
def test_element_that_does_not_fit_its_pool_is_refused_without_effect(space: Handlespace) -> None:
    add(space, b"p", 1, e.LU, 5)
    before = space.resolution(b"p", 0, advance=False)
    for octets, verdict in (
        (e.element(1, e.RR), Verdict.INCONSISTENT_POLICY),
        (e.element(2, e.RR), Verdict.INCONSISTENT_POLICY),
        (e.element(2, e.LU, (1,), user=e.tcp()), Verdict.INCONSISTENT_TRANSPORT),
        (e.element(2, e.LU, (1,), user=e.sctp(use=1)), Verdict.INCONSISTENT_USE),
    ):
        assert space.register(b"p", octets, home=8, connection=3) is verdict
        space._check()
    assert space.resolution(b"p", 0, advance=False) == before
    assert space.homes() == [OWN]


def test_pool_view_shows_the_parameters_of_its_first_element(space: Handlespace) -> None:
    octets = e.element(9, e.LU, (1,), user=e.sctp(use=1, addresses=2), asap=e.sctp(9), life=-1)
    space.register(b"p", octets, home=OWN, connection=4)
    space.register(b"p", e.element(3, e.LU, (2,), user=e.sctp(use=1)), home=OWN)
    pool, view = space.pool(b"p"), space.find(b"p", 9)
    assert pool is not None
    assert (pool.handle, pool.policy_type, pool.transport_type, pool.transport_use, pool.size) == (b"p", e.LU, 4, 1, 2)
    assert pool.policy_parameter == e.policy(e.LU, (2,))
    assert pool.transport_parameter == e.sctp(use=1)
    assert [each.identifier for each in pool] == [3, 9]
    assert view is not None
    assert (view.pool_handle, view.home_identifier, view.registration_life, view.connection) == (b"p", OWN, -1, 4)
    assert view.user_transport == e.sctp(use=1, addresses=2)
    assert view.asap_transport == e.sctp(9)
    assert view.policy_parameter == e.policy(e.LU, (1,))
    other = space.find(b"p", 3)
    assert other is not None
    assert other.asap_transport is None


def test_view_of_a_removed_element_or_pool_raises(space: Handlespace) -> None:
    add(space, b"p", 1)
    pool, view = space.pool(b"p"), space.find(b"p", 1)
    assert pool is not None
    assert view is not None
    space.remove(b"p", 1)
    add(space, b"p", 1)
    uses: list[Callable[[], object]] = [
        lambda: view.identifier,
        lambda: view.set_home(8),
        lambda: pool.size,
        lambda: list(pool),
        lambda: PoolElementView().identifier,
        lambda: PoolView().size,
    ]
    for use in uses:
        with pytest.raises(LocalProtocolError):
            use()


def test_view_keeps_the_memory_of_a_deleted_handlespace() -> None:
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    add(space, b"p", 1)
    view, pools = space.find(b"p", 1), space.pools()
    del space
    gc.collect()
    assert view is not None
    assert view.identifier == 1
    assert next(pools).size == 1


def test_iteration_over_pools_continues_after_changes(space: Handlespace) -> None:
    for name in (b"c", b"a", b"bb", b"b"):
        add(space, name, 1)
        add(space, name, 2)
    seen = []
    for pool in space.pools():
        seen.append(pool.handle)
        space.remove(pool.handle, 1)
        space.remove(pool.handle, 2)
        if pool.handle == b"a":
            add(space, b"ab", 1)
    assert seen == [b"a", b"b", b"c", b"ab", b"bb"]
    assert len(space) == space.pool_count == 0


@pytest.mark.parametrize("own_only", [False, True])
def test_position_remains_valid_after_additions_and_removals(space: Handlespace, own_only: bool) -> None:
    for name in (b"a", b"b", b"c"):
        for identifier in (1, 2, 3):
            add(space, name, identifier)
    first, position = space.table(own_only, None, 120)
    assert first.count(b"\x00\x0a") == 2
    for identifier in (1, 2, 3):
        space.remove(b"a", identifier)
    add(space, b"b", 0)
    rest, position = space.table(own_only, position, 65520)
    assert position is None
    assert rest.count(e.handle_parameter(b"a")) == 0
    assert rest.count(b"\x00\x0a\x00") == 7
    names, after = space.owned_part(OWN, None, 3)
    assert names == [(b"b", 0), (b"b", 1), (b"b", 2)]
    space.remove(b"b", 2)
    assert space.owned_part(OWN, after, 99) == ([(b"b", 3), (b"c", 1), (b"c", 2), (b"c", 3)], None)


@pytest.mark.parametrize("own_only", [False, True])
def test_table_is_split_by_number_of_elements(space: Handlespace, own_only: bool) -> None:
    for name in (b"a", b"b"):
        for identifier in (1, 2, 3):
            add(space, name, identifier)
    parts, position = [], None
    while not parts or position is not None:
        part, position = space.table(own_only, position, 65520, 2)
        parts.append(part.count(b"\x00\x0a\x00"))
    assert parts == [2, 2, 2]
    assert space.table(own_only, None, 65520, 6)[1] is None
    assert space.table(own_only, None, 65520, 5)[1] is not None


def test_table_contains_own_elements_only_if_asked(space: Handlespace) -> None:
    add(space, b"a", 1, home=8)
    assert space.table(True, None, 1000) == (b"", None)
    assert space.table(False, None, 1)[0] == e.handle_parameter(b"a") + e.element(1, home=8)


def test_resolution_of_a_large_pool_fits_into_one_message(space: Handlespace) -> None:
    for identifier in range(3000):
        add(space, b"p", identifier)
    answer = space.resolution(b"p", 0)
    assert answer is not None
    assert 65532 - 40 < len(answer) <= 65532
    assert len(answer) == 4 + 8 + 8 + 40 * ((len(answer) - 20) // 40)
    assert struct.unpack(">H", answer[2:4])[0] == len(answer)


def test_longest_element_and_handle_that_fit_a_message_are_accepted(space: Handlespace) -> None:
    handle = bytes(65400)
    room = 65535 - 16 - 65404 - 8
    opaque = e.parameter(16, bytes(room // 4 * 4 - 28))
    assert space.register(handle, e.element(1, user=opaque), home=OWN) is Verdict.ADDED
    answer = space.resolution(handle, 0)
    assert answer is not None
    assert len(answer) <= 65532
    assert len(space.table(True, None, 1)[0]) <= 65520
    longer = e.parameter(16, bytes(room // 4 * 4 - 24))
    with pytest.raises(LocalProtocolError):
        space.register(handle, e.element(2, user=longer), home=OWN)
    space._check()


def test_policy_of_odd_length_is_padded_with_and_without_asap_transport(space: Handlespace) -> None:
    odd = e.parameter(8, struct.pack(">I", 0x80000001) + b"xyz")
    fixed = struct.pack(">IIi", 1, OWN, 300)
    full = e.parameter(10, fixed + e.sctp() + odd + e.sctp(9))
    space.register(b"p", full, home=OWN)
    view = space.find(b"p", 1)
    assert view is not None
    assert view.parameter == full
    short = struct.pack(">HH", 10, 4 + 12 + 16 + 11) + fixed + e.sctp() + odd
    assert space.resolution(b"p", 1) == e.message(6, e.handle_parameter(b"p"), odd, short, unpadded=1)
    assert space.register(b"p", short, home=OWN) is Verdict.UPDATED
    assert view.asap_transport is None
    assert view.parameter == short


GOOD = e.element(1, asap=e.sctp(9))
BAD = {
    "empty": b"",
    "cut": GOOD[:-4],
    "one octet short": GOOD[:-1],
    "longer": GOOD + bytes(4),
    "another type": b"\x00\x0b" + GOOD[2:],
    "no policy": e.parameter(10, bytes(12) + e.sctp()),
    "policy first": e.parameter(10, bytes(12) + e.policy(1) + e.sctp()),
    "two policies": e.parameter(10, bytes(12) + e.sctp() + e.policy(1) + e.policy(1)),
    "ASAP over TCP": e.element(1, asap=e.tcp()),
    "parameter after the ASAP transport": e.element(1, asap=e.sctp() + e.ipv4()),
    "no address": e.element(1, user=e.parameter(4, bytes(4))),
    "two addresses": e.element(1, user=e.parameter(5, bytes(4) + e.ipv4() + e.ipv4())),
    "half an address": e.element(1, user=e.parameter(4, bytes(4) + e.ipv4()[:4])),
    "unknown transport": e.element(1, user=e.parameter(0x11, bytes(4))),
    "short transport": e.element(1, user=e.parameter(3, bytes(4))),
    "padding not zero": e.element(1, user=struct.pack(">HH", 16, 5) + b"x\x00\x01\x00"),
    "policy without type": e.parameter(10, bytes(12) + e.sctp() + e.parameter(8, b"")),
    "policy too short": e.element(1, e.LUD, (1,)),
    "policy too long": e.element(1, e.LU, (1, 2)),
    "parameter length 0": e.parameter(10, bytes(12) + bytes(4) + e.policy(1)),
    "parameter length too big": e.parameter(10, bytes(12) + b"\x00\x04\x40\x00" + bytes(12) + e.policy(1)),
}


@pytest.mark.parametrize("name", BAD)
def test_pool_element_parameter_that_is_not_canonical_raises(space: Handlespace, name: str) -> None:
    with pytest.raises(LocalProtocolError):
        space.register(b"p", BAD[name], home=OWN)
    assert len(space) == space.pool_count == 0
    space._check()


def test_every_user_transport_is_stored_and_returned(space: Handlespace) -> None:
    v6 = e.parameter(2, bytes(range(16)))
    for number, transport in enumerate(
        (
            e.parameter(3, bytes(8) + v6),
            e.parameter(4, bytes(4) + v6 + e.ipv4() + v6),
            e.parameter(5, bytes(4) + v6),
            e.parameter(6, bytes(4) + e.ipv4()),
            e.parameter(7, bytes(4) + v6),
            e.parameter(16, b"abcde"),
            e.parameter(16, b""),
        )
    ):
        handle = b"pool %d" % number
        assert space.register(handle, e.element(1, user=transport), home=OWN) is Verdict.ADDED
        assert space.resolution(handle, 1) == e.message(
            6, e.handle_parameter(handle), e.policy(1), e.element(1, home=OWN, user=transport)
        )


WRONG: list[tuple[type[Exception], Callable[[Handlespace], Any]]] = [
    (LocalProtocolError, lambda s: s.register(b"", GOOD, home=OWN)),
    (LocalProtocolError, lambda s: s.register(bytes(65536), GOOD, home=OWN)),
    (LocalProtocolError, lambda s: s.register(b"p", GOOD, home=-1)),
    (LocalProtocolError, lambda s: s.register(b"p", GOOD, home=2**32)),
    (LocalProtocolError, lambda s: s.register(b"p", GOOD, home=1, connection=2**64)),
    (TypeError, lambda s: s.register("p", GOOD, home=1)),  # type: ignore[arg-type]
    (TypeError, lambda s: s.register(b"p", None, home=1)),  # type: ignore[arg-type]
    (TypeError, lambda s: s.register(b"p", GOOD, home=1.0)),  # type: ignore[arg-type]
    (TypeError, lambda s: s.register(b"p", GOOD)),  # type: ignore[call-arg]
    (LocalProtocolError, lambda s: s.remove(b"p", 2**32)),
    (TypeError, lambda s: s.remove(None, 1)),  # type: ignore[arg-type]
    (TypeError, lambda s: s.find(b"p", "1")),  # type: ignore[arg-type]
    (TypeError, lambda s: s.pool(None)),  # type: ignore[arg-type]
    (LocalProtocolError, lambda s: s.select(b"p", -1)),
    (LocalProtocolError, lambda s: s.resolution(b"p", 2**64)),
    (LocalProtocolError, lambda s: s.connected(-1)),
    (LocalProtocolError, lambda s: s.owned_part(1, None, 0)),
    (TypeError, lambda s: s.owned_part(OWN, 5, 1)),  # type: ignore[arg-type]
    (ValueError, lambda s: s.owned_part(OWN, (1, 2, 3), 1)),  # type: ignore[arg-type]
    (LocalProtocolError, lambda s: s.take_over(1, 2, 0)),
    (LocalProtocolError, lambda s: s.take_over(1, 2**32, 1)),
    (LocalProtocolError, lambda s: s.mark_home(-1, None, 1)),
    (LocalProtocolError, lambda s: s.mark_home(1, None, 0)),
    (LocalProtocolError, lambda s: s.sweep_marked(-1, None, 1)),
    (LocalProtocolError, lambda s: s.sweep_marked(1, None, 0)),
    (LocalProtocolError, lambda s: s.checksum(-1)),
    (LocalProtocolError, lambda s: s.table(True, None, 0)),
    (LocalProtocolError, lambda s: s.table(True, None, 65521)),
    (LocalProtocolError, lambda s: s.table(True, None, 100, 0)),
    (LocalProtocolError, lambda s: setattr(s, "used_items", 2**32)),
    (TypeError, lambda s: s.table(False, (None, 1), 100)),
    (TypeError, lambda s: s.table(True, (b"p", 1), 100)),
    (LocalProtocolError, lambda s: s.arm(b"p", 1, 0, 5)),
    (LocalProtocolError, lambda s: s.arm(b"p", 1, 3, 5)),
    (LocalProtocolError, lambda s: s.arm(b"p", 1, 1, 2**62)),
    (LocalProtocolError, lambda s: s.arm(b"p", 2, 1, 5)),
    (LocalProtocolError, lambda s: s.expire(-1)),
    (LocalProtocolError, lambda s: setattr(s, "default_items", 2**32)),
    (LocalProtocolError, lambda s: setattr(s, "keep_alive_interval", 0)),
    (LocalProtocolError, lambda s: setattr(s, "life_unit", 0)),
    (LocalProtocolError, lambda s: setattr(s, "life_limit", 2**48)),
    (TypeError, lambda s: Handlespace(OWN, seed=1, wheel=None)),  # type: ignore[arg-type]
    (LocalProtocolError, lambda s: Handlespace(-1, seed=1, wheel=Wheel(0))),
    (LocalProtocolError, lambda s: Handlespace(OWN, seed=-1, wheel=Wheel(0))),
    (LocalProtocolError, lambda s: Handlespace(OWN, seed=1, wheel=s.wheel)),
    (LocalProtocolError, lambda s: s.wheel.expire(5)),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_arguments_raise_and_change_nothing(space: Handlespace, case: int) -> None:
    add(space, b"p", 1)
    error, call = WRONG[case]
    with pytest.raises(error):
        call(space)
    space._check()
    assert len(space) == 1


def test_wheel_is_usable_again_after_its_handlespace_is_deleted() -> None:
    wheel = Wheel(0)
    space = Handlespace(OWN, seed=1, wheel=wheel)
    add(space, b"p", 1)
    space.arm(b"p", 1, Timer.LIFE, 5)
    wheel.insert(6, "entry")
    del space
    gc.collect()
    assert len(wheel) == 1
    assert wheel.expire(10) == ["entry"]
    assert Handlespace(OWN, seed=1, wheel=wheel).identifier == OWN


def test_timers_expire_by_deadline_and_can_be_rearmed_and_disarmed(space: Handlespace) -> None:
    add(space, b"p", 1)
    add(space, b"p", 2)
    space.arm(b"p", 1, Timer.LIFE, 300)
    space.arm(b"p", 1, Timer.KEEP_ALIVE, 200)
    space.arm(b"p", 2, Timer.KEEP_ALIVE, 100)
    space.arm(b"p", 2, Timer.KEEP_ALIVE, 400)
    space.wheel.insert(250, "entry")
    assert space.wheel.next_expiry() <= 200
    assert space.expire(150) == []
    assert space.wheel.next_expiry() == 200
    assert space.expire(300) == [(Timer.KEEP_ALIVE, b"p", 1), "entry", (Timer.LIFE, b"p", 1)]
    assert space.disarm(b"p", 2, Timer.KEEP_ALIVE) is True
    assert space.disarm(b"p", 2, Timer.KEEP_ALIVE) is False
    space.arm(b"p", 2, Timer.LIFE, 500)
    space.remove(b"p", 2)
    assert len(space.wheel) == 0


def test_jitter_covers_half_the_interval_on_both_sides(space: Handlespace) -> None:
    space.keep_alive_interval = 1000
    drawn = [space.jitter(5000) for _ in range(20000)]
    assert min(drawn) == 5500
    assert max(drawn) == 6500
    assert abs(sum(drawn) / len(drawn) - 6000) < 10


UNUSED = 4 << 20
"""Octets in two huge pages that may be nearly empty: one for the records, one for the encoded parameters."""


def resident() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096


def test_element_needs_less_than_400_octets_and_freed_memory_is_reused() -> None:
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))

    def fill() -> None:
        for number in range(100_000):
            octets = e.element(number, e.LUD, (number, 5), asap=e.sctp(9))
            space.register(b"pool %d" % (number % 1000), octets, home=OWN, connection=number + 1)

    gc.collect()
    before = resident()
    fill()
    full = resident()
    assert len(space) == 100_000
    if "libasan" not in sys.modules and full > before:
        assert (full - before - UNUSED) / 100_000 < 400
    for _ in range(3):
        for number in range(100_000):
            assert space.remove(b"pool %d" % (number % 1000), number)
        assert len(space) == space.pool_count == 0
        fill()
    space._check()
    assert resident() - full < 2**21
