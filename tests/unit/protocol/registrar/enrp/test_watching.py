"""Events about peers and takeovers that programs in the process can watch."""

from rserpool.messages import InitTakeover, TakeoverServer
from rserpool.protocol.registrar.watching import PeerChanged, PeerRemoved, TakeoverFinished, TakeoverStarted, Watch
from tests.support.scope import HIGH, LOW, OWN, Scope, presence

ABOUT_PEERS = (PeerChanged, PeerRemoved, TakeoverStarted, TakeoverFinished)


def events(watch: Watch) -> list[object]:
    return [event for event in watch.take() if isinstance(event, ABOUT_PEERS)]


def changed(identifier: int, *states: str) -> list[object]:
    return [PeerChanged(identifier=identifier, state=state) for state in states]


def test_a_watch_sees_a_peer_come_die_and_be_taken_over() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    watch = scope.registrar.watch()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    assert events(watch) == changed(LOW, "alive")
    scope.wait(30)
    assert events(watch) == [
        *changed(LOW, "suspect", "target"),
        TakeoverStarted(target=LOW),
        *changed(LOW, "claiming", "won"),
        PeerRemoved(identifier=LOW),
        TakeoverFinished(target=LOW, winner=OWN),
    ]


def test_a_watch_sees_a_takeover_by_another_registrar() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    watch = scope.registrar.watch()
    for kind in (InitTakeover, TakeoverServer):
        scope.send(high, kind(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    assert events(watch) == [
        *changed(LOW, "conceded"),
        PeerRemoved(identifier=LOW),
        TakeoverFinished(target=LOW, winner=HIGH),
    ]


def test_messages_of_a_peer_that_stays_alive_are_no_events() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    watch = scope.registrar.watch()
    for _ in range(3):
        scope.wait(1)
        scope.send(low, presence(LOW, 2))
    assert not events(watch)
