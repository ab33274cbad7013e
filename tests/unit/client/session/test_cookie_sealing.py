"""Sealed cookies open only if an element of the pool sealed them, in time and not before the session's state."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool.client.errors import MissingExtra
from rserpool.client.session.cookie_sealing import (
    HEADER,
    LIFE,
    MAX_STATE,
    OVERHEAD,
    CookieInvalid,
    OpenedCookie,
    Rejection,
    Sealer,
)
from rserpool.errors import LocalProtocolError
from rserpool.settings.session import MAX_COOKIE

POOL = b"EchoPool"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def rejected(sealer: Sealer, cookie: bytes, *, handle: bytes = POOL, at_least: int = 0) -> Rejection:
    before = sealer.counters.total()
    with pytest.raises(CookieInvalid) as raised:
        sealer.open(handle, cookie, at_least=at_least)
    assert sealer.counters.total() == before + 1
    assert sealer.counters[raised.value.reason]
    return raised.value.reason


@given(state=st.binary(max_size=300), sequence=st.integers(0, 2**64 - 1), identifier=st.integers(0, 2**32 - 1))
def test_another_element_opens_a_sealed_cookie(state: bytes, sequence: int, identifier: int) -> None:
    clock = Clock()
    cookie = Sealer({1: OLD}, clock=clock).seal(POOL, state, sequence=sequence, identifier=identifier)
    assert len(cookie) == len(state) + 64 == len(state) + OVERHEAD
    assert Sealer({1: OLD}, clock=clock).open(POOL, cookie) == OpenedCookie(
        state=state, issued=clock.now, expires=clock.now + LIFE, sequence=sequence, identifier=identifier
    )
    assert len(state) < 4 or state not in cookie


@pytest.mark.conformance("ASAP-3.8-04", "SEC-5355-2.16-01")
def test_a_cookie_with_any_flipped_bit_is_rejected() -> None:
    sealer = Sealer({1: OLD})
    cookie = sealer.seal(POOL, b"next reply: 7", sequence=7, identifier=9)
    for bit in range(8 * len(cookie)):
        flipped = bytearray(cookie)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        reason = rejected(sealer, bytes(flipped))
        assert (reason is Rejection.FORGED) == (bit // 8 >= 8), bit
    assert sealer.open(POOL, cookie).state == b"next reply: 7"


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_unsealed_octets_are_rejected(cookie: bytes) -> None:
    rejected(Sealer({1: OLD}), cookie)
    rejected(Sealer({1: OLD}), HEADER.pack(b"RC", 1, 1, 1, bytes(12)) + cookie)


def test_a_cookie_of_another_length_is_rejected() -> None:
    sealer = Sealer({1: OLD})
    cookie = sealer.seal(POOL, b"state")
    for length in range(len(cookie)):
        assert rejected(sealer, cookie[:length]) is (Rejection.TRUNCATED if length < OVERHEAD else Rejection.FORGED)
    assert rejected(sealer, cookie + b"\0") is Rejection.FORGED


@given(st.binary(min_size=1, max_size=40).filter(lambda handle: handle != POOL))
def test_the_cookie_of_another_pool_is_rejected_as_forged(handle: bytes) -> None:
    sealer = Sealer({1: OLD})
    assert rejected(sealer, sealer.seal(POOL, b"state"), handle=handle) is Rejection.FORGED


def test_cookies_are_valid_only_for_their_life() -> None:
    clock = Clock()
    sealer = Sealer({1: OLD}, clock=clock, life=100, skew=30)
    cookie = sealer.seal(POOL, b"state")
    clock.now += 129
    assert sealer.open(POOL, cookie).state == b"state"
    clock.now += 2
    assert rejected(sealer, cookie) is Rejection.EXPIRED
    clock.now -= 131 + 29
    assert sealer.open(POOL, cookie).state == b"state"
    clock.now -= 2
    assert rejected(sealer, cookie) is Rejection.FUTURE


def test_a_cookie_older_than_the_session_is_rejected() -> None:
    sealer = Sealer({1: OLD})
    cookie = sealer.seal(POOL, b"state", sequence=7)
    assert sealer.open(POOL, cookie, at_least=7).sequence == 7
    assert rejected(sealer, cookie, at_least=8) is Rejection.STALE


def test_keys_rotate() -> None:
    before, during, after = Sealer({1: OLD}), Sealer({1: OLD, 2: NEW}), Sealer({2: NEW})
    old, new = before.seal(POOL, b"state"), during.seal(POOL, b"state")
    assert during.open(POOL, old).state == after.open(POOL, new).state == b"state"
    assert rejected(before, new) is Rejection.UNKNOWN_KEY
    assert rejected(after, old) is Rejection.UNKNOWN_KEY
    assert rejected(Sealer({1: NEW}), old) is Rejection.FORGED


def test_nonces_come_from_the_given_source() -> None:
    drawn: list[int] = []

    def nonce(length: int) -> bytes:
        drawn.append(length)
        return bytes(range(length))

    cookie = Sealer({1: OLD}, nonce=nonce).seal(POOL, b"state")
    assert drawn == [12]
    assert cookie[:20] == bytes.fromhex("52430101 00000001 000102030405060708090a0b")
    sealer = Sealer({1: OLD})
    assert len({sealer.seal(POOL, b"")[8:20] for _ in range(100)}) == 100


def test_the_largest_state_fits_into_a_cookie() -> None:
    sealer = Sealer({1: OLD})
    cookie = sealer.seal(POOL, bytes(MAX_STATE))
    assert len(cookie) == MAX_COOKIE
    assert sealer.open(POOL, cookie).state == bytes(MAX_STATE)
    with pytest.raises(LocalProtocolError, match="at most"):
        sealer.seal(POOL, bytes(MAX_STATE + 1))


def test_derived_keys_are_bounded() -> None:
    sealer = Sealer({1: OLD})
    for number in range(1000):
        sealer.seal(b"%d" % number, b"")
    assert len(sealer._derived) <= 256


@pytest.mark.parametrize("keys", [{}, {1: b"short"}, {-1: OLD}, {1 << 32: OLD}])
def test_invalid_keys_are_refused(keys: dict[int, bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        Sealer(keys)


def test_without_cryptography_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtra, match=r"rserpool\[cookies\]"):
        Sealer({1: OLD})
