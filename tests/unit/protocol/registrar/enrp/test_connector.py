"""Associations that are opened to other registrars."""

from rserpool.messages import Presence
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.enrp.connector import CONNECT_TIMEOUT
from tests.support.scope import SECOND, Scope, host


def test_the_time_out_of_an_earlier_attempt_does_not_end_a_later_one() -> None:
    scope = Scope(static_peers=1)
    places = (host(2),)
    while scope.now < (CONNECT_TIMEOUT - 1) * SECOND:
        scope.wait(1)
        if scope.registrar.enrp.connector._attempts:
            scope.take(scope.registrar.unreachable(Protocol.ENRP, places, 9901, scope.now))
    while not scope.registrar.enrp.connector._attempts:
        scope.wait(0.1)
    before = len(scope.calls)
    scope.wait(2)
    assert len(scope.calls) == before, "an attempt under way is not repeated"
    number = scope.associate(2)
    assert isinstance(scope.sent[number][0], Presence), "the registrar that opened the association speaks first"
