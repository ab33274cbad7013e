"""Every event of every kind of association of a node."""

from itertools import product

import pytest

from rserpool.messages import (
    AsapError,
    BusinessCard,
    Cookie,
    CookieEcho,
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    ErrorCause,
    HandleResolution,
    HandleResolutionResponse,
    RegistrationResponse,
    ServerAnnounce,
)
from rserpool.protocol.actions import Shutdown
from rserpool.protocol.client.link import Stage
from rserpool.protocol.peer import Peer
from tests.support.bench import registration
from tests.support.client_bench import POOL, NodeBench, listed, registrations, sent_to, server

KINDS = ("unknown", "dialling", "home", "second", "stranger", "leaving")
MESSAGES = (
    registration(),
    Deregistration(pool_handle=POOL, pe_identifier=7),
    RegistrationResponse(pool_handle=POOL, pe_identifier=7),
    DeregistrationResponse(pool_handle=POOL, pe_identifier=7),
    HandleResolution(pool_handle=POOL),
    HandleResolutionResponse(pool_handle=POOL, pool_elements=(listed(1),)),
    EndpointKeepAlive(server_identifier=1, pool_handle=POOL, pe_identifier=7),
    EndpointKeepAlive(server_identifier=1, pool_handle=POOL, pe_identifier=7, home=True),
    EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7),
    EndpointUnreachable(pool_handle=POOL, pe_identifier=7),
    ServerAnnounce(server_identifier=1),
    Cookie(cookie=b"x"),
    CookieEcho(cookie=b"x"),
    BusinessCard(pool_handle=POOL, pool_elements=(listed(1),)),
    AsapError(operation_error=(ErrorCause(code=0),)),
)
IGNORED = (ServerAnnounce, Cookie, CookieEcho, BusinessCard)
NONSENSE = (type(MESSAGES[0]), Deregistration, HandleResolution, EndpointKeepAliveAck, EndpointUnreachable)


def placed(kind: str) -> tuple[NodeBench, int]:
    """Make a node with an element and a request, and an association of that kind."""
    bench = NodeBench(3)
    if kind == "dialling":
        bench.element()
        return bench, min(bench.dialled)
    home = min(bench.dialled)
    bench.element()
    bench.accept(home)
    bench.wait(0.1)
    bench.grant(home, bench.node.elements[POOL, 7])
    bench.resolve()
    if kind == "home":
        return bench, home
    if kind == "stranger":
        return bench, bench.incoming(9)
    bench.wait(15.1)
    candidate = min(bench.dialled)
    if kind == "second":
        return bench, bench.accept(candidate)
    if kind == "leaving":
        bench.answer(home, 1)
        bench.left.discard(candidate)
        assert bench.context.links[candidate].stage is Stage.LEAVING
        return bench, candidate
    return bench, 999


@pytest.mark.parametrize(("kind", "message"), list(product(KINDS, MESSAGES)))
def test_every_message_over_every_association(kind: str, message: object) -> None:
    bench, number = placed(kind)
    link = bench.context.links.get(number)
    home = bench.context.home
    mark = len(bench.actions)
    bench.receive(number, message)  # type: ignore[arg-type]
    after = bench.actions[mark:]
    if kind in ("unknown", "dialling", "leaving") or isinstance(message, IGNORED):
        assert not after
        assert bench.context.home is home
    elif isinstance(message, NONSENSE):
        left = kind != "stranger"
        assert bench.context.counters["registrars left"] == left
        assert link is not None
        assert (link.stage is Stage.LEAVING) == left
    elif isinstance(message, EndpointKeepAlive):
        assert sent_to(after, number)[0] == EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7)
        assert bench.context.home is (link if message.home else home)
    elif isinstance(message, HandleResolutionResponse):
        assert bool(bench.resolutions()) == (kind in ("home", "second"))
        assert bench.context.home is (home if kind != "second" else link)
    elif isinstance(message, RegistrationResponse | DeregistrationResponse | AsapError) and kind != "home":
        assert bench.context.home is home
        assert not bench.resolutions()
    bench.wait(100)


@pytest.mark.parametrize("kind", KINDS)
def test_every_association_may_end_once(kind: str) -> None:
    bench, number = placed(kind)
    home = bench.context.home
    bench.refuse(number)
    assert number not in bench.context.links
    assert bench.context.home is (None if kind == "home" else home)
    mark = len(bench.actions)
    bench.refuse(number)
    assert len(bench.actions) == mark, "an association ends once"
    bench.wait(100)


@pytest.mark.parametrize("kind", KINDS)
def test_association_comes_up_once(kind: str) -> None:
    bench, number = placed(kind)
    before = bench.context.links.get(number)
    stage = before.stage if before is not None else None
    bench.take(bench.node.up(number, Peer(addresses=server(9).addresses, port=3863, sctp=True), bench.now))
    after = bench.context.links[number]
    assert after.stage is (stage if stage in (Stage.UP, Stage.LEAVING) else Stage.UP)
    assert before is None or before is after


@pytest.mark.parametrize("granted", [False, True])
def test_former_home_is_left_once_the_element_is_registered_elsewhere(granted: bool) -> None:
    bench = NodeBench(1)
    former = bench.incoming(9)
    bench.ask(former, 7, home=True)
    home = bench.accept()
    element = bench.element()
    assert bench.ask(former, 7), "every keep-alive is acknowledged"
    assert Shutdown(former) not in bench.actions, "no other registrar has the element yet"
    if granted:
        bench.grant(home, element)
    assert bench.ask(former, 7)
    assert (Shutdown(former) in bench.actions) is granted, "two registrars would claim the element"


def test_elements_that_were_not_adopted_register_at_the_new_home_at_once() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    first, second = bench.element(7), bench.element(8)
    bench.grant(home, first)
    bench.grant(home, second)
    other = bench.incoming(9)
    mark = len(bench.actions)
    bench.ask(other, 7, home=True)
    assert Shutdown(home) in bench.actions[mark:], "the former home loses both"
    said = registrations(bench.actions[mark:])
    assert [one.pool_element.identifier for one in said] == [8]
    assert [one.pool_element.identifier for one in registrations(bench.wait(3))][:1] == [7], "within three seconds"
