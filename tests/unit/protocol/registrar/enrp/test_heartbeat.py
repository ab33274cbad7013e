"""The heartbeat cycle: presences, and registrars that are missing."""

import pytest

from rserpool.messages import InitTakeover, InitTakeoverAck, ListResponse, Presence
from tests.support.scope import HIGH, LOW, OWN, Scope, element, presence, table


@pytest.mark.conformance("ENRP-2.1-01", "ENRP-3.4.2-01", "ENRP-3.1-01")
def test_each_cycle_sends_a_presence_to_every_peer_that_needs_no_reply() -> None:
    scope = Scope()
    numbers = [scope.join(LOW, 2), scope.join(HIGH, 3)]
    before = [len(scope.sent[number]) for number in numbers]
    scope.wait(4.6)
    for number, start in zip(numbers, before, strict=True):
        presences = [message for message in scope.sent[number][start:] if isinstance(message, Presence)]
        assert len(presences) == 2
        assert all(presence.receiver_identifier == 0 and not presence.reply_required for presence in presences)


def test_each_cycle_asks_for_a_presence_over_an_association_without_a_peer() -> None:
    scope = Scope()
    number = scope.associate(2)
    assert not scope.sent[number], "the registrar that opened the association speaks first"
    scope.wait(5)
    requests = [message for message in scope.sent[number] if isinstance(message, Presence)]
    assert len(requests) >= 2
    assert all(request.reply_required for request in requests)
    scope.send(number, presence(HIGH, 2))
    assert HIGH in scope.registrar.enrp.peers


def test_elements_of_an_unknown_home_are_taken_over() -> None:
    scope = Scope(static_peers=1, keep_alive_timeout=1000.0)
    low = scope.associate(2)
    scope.send(low, ListResponse(sender_identifier=LOW, receiver_identifier=OWN))
    scope.send(low, table(LOW, element(1, LOW), element(2, 0x7777)))
    for _ in range(30):
        scope.wait(1)
        scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
        for message in scope.sent[low]:
            if isinstance(message, InitTakeover):
                scope.send(
                    low, InitTakeoverAck(sender_identifier=LOW, receiver_identifier=OWN, target_identifier=0x7777)
                )
        scope.sent[low].clear()
    assert scope.homes() == {1: LOW, 2: OWN}
