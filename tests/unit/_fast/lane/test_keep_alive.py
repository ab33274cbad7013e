"""Keep-alives: their octets, and the deadlines for their acknowledgement."""

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from rserpool._fast.lane.keep_alive import probe
from rserpool._fast.lane.takeover import collect_unreached, home_keep_alives
from rserpool.messages import EndpointKeepAlive
from tests.support import elements as e

OWN, OTHER, LINE = 7, 8, 33
HANDLE, IDENTIFIER = b"Pool!", 0xFEDCBA98
NAME = (HANDLE, IDENTIFIER)


@pytest.fixture
def space() -> Handlespace:
    """A handlespace with one own element that has an association."""
    made = Handlespace(OWN, seed=1, wheel=Wheel(0))
    made.register(HANDLE, e.element(IDENTIFIER, e.RR, asap=e.sctp(9)), home=OWN, connection=LINE)
    return made


def test_keep_alive_equals_the_encoded_message(space: Handlespace) -> None:
    expected = EndpointKeepAlive(server_identifier=OWN, pool_handle=HANDLE, pe_identifier=IDENTIFIER)
    assert probe(space, *NAME, 1000) == (LINE, expected.encode())


def test_keep_alive_with_home_flag_equals_the_encoded_message() -> None:
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    space.register(HANDLE, e.element(IDENTIFIER, e.RR, asap=e.sctp(9)), home=OTHER)
    space.take_over(OTHER, OWN, 9)
    collect_unreached(space, None, 9)
    expected = EndpointKeepAlive(server_identifier=OWN, pool_handle=HANDLE, pe_identifier=IDENTIFIER, home=True)
    assert home_keep_alives(space, [NAME], LINE, 1000) == ([expected.encode()], 1)
    assert home_keep_alives(space, [NAME], LINE, 1000) == ([expected.encode()], 0)
    assert home_keep_alives(space, [NAME], LINE + 1, 1000) == ([], 0)


def test_repeated_keep_alive_does_not_extend_the_deadline(space: Handlespace) -> None:
    first = probe(space, *NAME, 1_000_000)
    assert first is not None
    assert probe(space, *NAME, 2_000_000) is None
    assert probe(space, *NAME, 3_000_000, again=True) == first
    assert space.expire(1_100_000) == [(Timer.KEEP_ALIVE, *NAME)]


def test_taken_over_element_gets_no_keep_alive_before_it_has_an_association() -> None:
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    space.register(HANDLE, e.element(IDENTIFIER, e.RR, asap=e.sctp(9)), home=OTHER)
    space.take_over(OTHER, OWN, 9)
    for _ in range(2):
        assert probe(space, *NAME, 1000, again=True) is None
        assert space.expire(10_000_000) == []
        collect_unreached(space, None, 9)
    home_keep_alives(space, [NAME], LINE, 20_000_000)
    assert probe(space, *NAME, 1000, again=True) is not None


def test_only_own_elements_get_keep_alives(space: Handlespace) -> None:
    space.register(HANDLE, e.element(1, e.RR, asap=e.sctp(9)), home=OTHER)
    for name in ((HANDLE, 1), (HANDLE, 2), (b"Nobody", IDENTIFIER)):
        assert probe(space, *name, 1000, again=True) is None
    assert space.expire(10_000_000) == []
