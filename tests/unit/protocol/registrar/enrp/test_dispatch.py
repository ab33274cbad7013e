"""Messages of ENRP as a whole: errors, malformed messages, rights, and signs of life."""

import pytest

from rserpool.errors import Cause
from rserpool.messages import EnrpError, Presence
from rserpool.model.principal import Principal
from rserpool.protocol.actions import Abort
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.access import Right
from rserpool.protocol.registrar.actions import Protocol
from tests.support.scope import LOW, OWN, Scope, host, kinds, presence


def test_an_error_makes_no_peer_and_is_not_answered() -> None:
    scope = Scope()
    number = scope.associate(2)
    octets = bytes.fromhex("0a000014 11111111 22222222 000c0008 00000004")
    assert not scope.send(number, octets)
    assert not scope.registrar.enrp.peers


def test_malformed_messages_are_answered_within_a_rate_and_do_not_end_the_association() -> None:
    scope = Scope(errors_burst=3)
    number = scope.join(LOW, 2)
    answers = [scope.send(number, bytes.fromhex("7f00000c 11111111 22222222")) for _ in range(10)]
    errors = [message for answer in answers for message in answer]
    assert kinds(errors) == ["EnrpError"] * 3
    assert isinstance(errors[0], EnrpError)
    assert errors[0].sender_identifier == OWN
    assert errors[0].operation_error[0].code == Cause.UNRECOGNIZED_MESSAGE
    assert Abort(number) not in scope.others


@pytest.mark.conformance("ENRP-3.4.3-01")
def test_any_message_is_a_sign_of_life() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    before = len(scope.sent[low])
    for identifier in range(1, 11):
        scope.wait(4)
        scope.add(low, LOW, identifier)
    assert not any(isinstance(one, Presence) and one.reply_required for one in scope.sent[low][before:])


def test_a_peer_record_shows_the_last_message_and_checksum() -> None:
    scope = Scope()
    low = scope.join(LOW, 2, 0x1234)
    peer = scope.registrar.enrp.peers[LOW]
    assert (peer.last_heard, peer.checksum) == (0, 0x1234)
    scope.wait(1)
    scope.add(low, LOW, 1)
    assert (peer.last_heard, peer.checksum) == (scope.now, 0x1234)


class Named:
    """Rights that depend on nothing but the name of the principal."""

    restricted = True

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[tuple[Right, bytes]] = []

    def may(self, principal: Principal, right: Right, handle: bytes) -> bool:
        self.asked.append((right, handle))
        return principal.name in self.names


def test_a_registrar_without_the_right_to_be_a_peer_is_aborted_and_changes_nothing() -> None:
    access = Named("friend")
    scope = Scope(access=access)
    for number, name in ((1, "stranger"), (2, "friend")):
        scope.sent[number] = []
        peer = Peer(addresses=(host(number),), port=9901, sctp=True, principal=Principal(name=name))
        scope.take(scope.registrar.associated(number, Protocol.ENRP, peer, 0))
        scope.send(number, presence(number, number))
    assert access.asked == [(Right.PEER, b"")] * 2
    assert [one for one in scope.others if isinstance(one, Abort)] == [Abort(1)]
    assert not scope.sent[1]
    assert scope.registrar.enrp.peers.keys() == {2}
    assert scope.counters["peers refused"] == 1
