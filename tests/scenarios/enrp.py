"""Scenarios T08-T13, T17d and T21: peer registrars at a registrar."""

import asyncio
from collections.abc import Awaitable, Callable

from rserpool.messages import (
    EndpointKeepAlive,
    HandleTableResponse,
    HandleUpdate,
    Policy,
    PolicyType,
    decode,
)
from tests.scenarios.asap import ELEMENT_PORT, element, gone, granted, resolution, unknown
from tests.scenarios.octets import octets
from tests.scenarios.peer import HIGH, LOW, FakeRegistrar
from tests.scenarios.tester import SOON, Counterpart, Lab

OWN = 0x22222222
PEER_POOL = b"PeerPool"
QUIET = ("--keep-alive-interval=60", "--peer-heartbeat-cycle=60", "--max-time-last-heard=60")
SHORT = (
    "--keep-alive-interval=60", "--peer-heartbeat-cycle=0.5", "--max-time-last-heard=2", "--max-time-no-response=1",
    "--takeover-expiry=2",
)  # fmt: skip


async def fake(tester: Counterpart, identifier: int) -> FakeRegistrar:
    """Create a fake registrar that has exchanged presences with the registrar under test."""
    peer = FakeRegistrar(identifier)
    await peer.open(tester.transport, tester.own)
    tester.endpoints.append(peer.endpoint)
    await peer.meet((tester.registrar[0], 9901))
    return peer


async def appears(tester: Counterpart, handle: bytes, identifier: int) -> None:
    """Wait until an element is listed."""
    user = await tester.associate()
    async with asyncio.timeout(SOON):
        while identifier not in [one.identifier for one in (await resolution(user, handle)).pool_elements]:
            await asyncio.sleep(0.02)


async def t08_presence(lab: Lab) -> None:
    tester = await lab.registrar(*QUIET)
    peer = await fake(tester, LOW)
    first = await peer.presence()
    assert first.reply_required
    peer.send("T08.req")
    assert (await peer.presence()).encode() == octets("T08.rsp-empty")
    peer.send("T08.req-min")
    assert (await peer.presence()).encode() == octets("T08.rsp-empty")
    await granted(await tester.associate(ELEMENT_PORT), "T01.req")
    await peer.receive()
    peer.send("T08.req")
    assert (await peer.presence()).encode() == octets("T08.rsp-one")


async def t09_updates(lab: Lab) -> None:
    tester = await lab.registrar(*QUIET)
    peer = await fake(tester, LOW)
    association, user = await tester.associate(ELEMENT_PORT), await tester.associate()
    await granted(association, "T01.req")
    expected = octets("T09.out")
    to_all = expected[:8] + bytes(4) + expected[12:]
    assert await peer.receive() == to_all
    association.send("T04.req")
    await association.expect("T04.rsp")
    assert await peer.receive() == to_all[:12] + b"\0\1" + to_all[14:]
    association.send("T04.req")
    await association.expect("T04.rsp")
    await peer.silent()
    reserved = octets("T09.add")[:14] + b"\xff\xff" + octets("T09.add")[16:]
    peer.send(reserved)
    await appears(tester, PEER_POOL, 0x0BADCAFE)
    (found,) = (await resolution(user, PEER_POOL)).pool_elements
    assert found.home_identifier == LOW
    association.send(element("T01.req", 1, Policy(policy_type=PolicyType.RANDOM, values=()), PEER_POOL))
    assert (await association.receive())[1] == 1
    for _ in range(2):
        peer.send("T09.del")
        await gone(user, PEER_POOL, 0x0BADCAFE)
    await peer.silent()
    await unknown(user, PEER_POOL)


async def t10_download(lab: Lab) -> None:
    tester = await lab.registrar(*QUIET, "--limit-elements-per-association=500", "--limit-registration-burst=500")
    peer = await fake(tester, LOW)
    association = await tester.associate(ELEMENT_PORT)
    await granted(association, "T01.req")
    await peer.receive()
    for request in ("T10.req", "T10.req-own"):
        peer.send(request)
        await peer.expect("T10.rsp")
    for number in range(400):
        association.send(
            element("T01.req", 0x1000 + number, Policy(policy_type=PolicyType.ROUND_ROBIN, values=()), b"BigPool0")
        )
        await association.receive()
        assert isinstance(await peer.answer(), HandleUpdate)
    for request in ("T10.req", "T10.req-own"):
        seen: list[int] = []
        more, parts = True, 0
        while more:
            peer.send(request)
            answer = await peer.answer()
            assert isinstance(answer, HandleTableResponse)
            assert not answer.reject
            seen += [one.identifier for entry in answer.pool_entries for one in entry.pool_elements]
            more = answer.more
            parts += 1
        assert parts > 1
        assert sorted(seen) == [*range(0x1000, 0x1000 + 400), 0xAABBCC01]


async def t11_audit(lab: Lab) -> None:
    """A peer's wrong checksum makes the registrar request the peer's table and adopt it."""
    tester = await lab.registrar(*QUIET)
    peer, other = await fake(tester, LOW), await fake(tester, HIGH)
    user = await tester.associate()
    await peer.silent()
    peer.heartbeat = octets("T11.bad")
    peer.send("T11.bad")
    await peer.expect("T11.htr")
    peer.send("T11.table")
    await appears(tester, PEER_POOL, 0x0BADCAFE)
    await peer.silent()
    peer.heartbeat = octets("T08.hb")
    await peer.expect("T11.htr")
    peer.send("T11.table-empty")
    await gone(user, PEER_POOL, 0x0BADCAFE)
    await other.silent()


async def t12_claimed(lab: Lab) -> None:
    tester = await lab.registrar(*QUIET)
    low, high = await fake(tester, LOW), await fake(tester, HIGH)
    for peer in (low, high):
        await peer.presence()
    low.send("T12a.req")
    for peer in (low, high):
        assert not (await peer.presence()).reply_required
    await low.silent()
    low.send("T12b.req")
    await low.expect("T12b.rsp")


async def peer_with_an_element(tester: Counterpart) -> tuple[FakeRegistrar, FakeRegistrar]:
    """Create two fake registrars. The first one announces PeerPool/0badcafe and then falls silent."""
    low, high = await fake(tester, LOW), await fake(tester, HIGH)
    low.heartbeat = octets("T11.bad")
    low.send("T09.add")
    await appears(tester, PEER_POOL, 0x0BADCAFE)
    low.die()
    return low, high


async def t13_takeover(lab: Lab) -> None:
    tester = await lab.registrar(*SHORT)
    endpoint = await tester.listen(ELEMENT_PORT)
    low, high = await peer_with_an_element(tester)
    user = await tester.associate()
    for peer in (low, high):
        assert await peer.next_of_takeover() == octets("T13.init")
    assert (await resolution(user, PEER_POOL)).pool_elements[0].home_identifier == LOW
    high.send("T13.ack")
    assert await high.next_of_takeover() == octets("T13.done")
    keep_alive = decode(await endpoint.keep_alive(), "asap")
    assert isinstance(keep_alive, EndpointKeepAlive)
    assert keep_alive.home
    assert keep_alive.server_identifier == OWN
    assert (await resolution(user, PEER_POOL)).pool_elements[0].home_identifier == OWN
    update = await high.answer()
    assert isinstance(update, HandleUpdate)
    assert update.pool_element.home_identifier == OWN


async def t13_alone(lab: Lab) -> None:
    """The only registrar left takes over the elements without asking anyone."""
    tester = await lab.registrar(*SHORT)
    endpoint = await tester.listen(ELEMENT_PORT)
    low = await fake(tester, LOW)
    low.send("T09.add")
    low.heartbeat = octets("T11.bad")
    await appears(tester, PEER_POOL, 0x0BADCAFE)
    low.die()
    await endpoint.keep_alive()


async def t13_target_returns(lab: Lab) -> None:
    """The takeover is cancelled if its target sends a presence."""
    tester = await lab.registrar(*SHORT)
    low, high = await peer_with_an_element(tester)
    assert await high.next_of_takeover() == octets("T13.init")
    low.send(low.heartbeat)
    high.send("T13.ack")
    await high.silent()
    assert (await resolution(await tester.associate(), PEER_POOL)).pool_elements[0].home_identifier == LOW


async def t13_yields(lab: Lab) -> None:
    """Of two registrars that take over the same peer, this one yields to the other."""
    tester = await lab.registrar(*SHORT)
    _, high = await peer_with_an_element(tester)
    assert await high.next_of_takeover() == octets("T13.init")
    high.send("T13.tie-high")
    await high.expect("T13.tie-ack")
    high.send("T13.takeover-in")
    user = await tester.associate()
    async with asyncio.timeout(SOON):
        while (await resolution(user, PEER_POOL)).pool_elements[0].home_identifier != HIGH:
            await asyncio.sleep(0.02)


async def t13_continues(lab: Lab) -> None:
    """Of two registrars that take over the same peer, this one continues."""
    tester = await lab.registrar(*SHORT)
    endpoint = await tester.listen(ELEMENT_PORT)
    _, high = await peer_with_an_element(tester)
    assert await high.next_of_takeover() == octets("T13.init")
    high.send("T13.tie-high")
    await high.silent()
    high.send("T13.ack")
    await endpoint.keep_alive()


async def t17d_unknown_message(lab: Lab) -> None:
    peer = await fake(await lab.registrar(*QUIET), LOW)
    peer.send("T17d.req")
    await peer.expect("T17d.err")


async def t21_list(lab: Lab) -> None:
    tester = await lab.registrar(*QUIET)
    low = await fake(tester, LOW)
    high = await fake(tester, HIGH)
    await high.presence()
    low.send("T21.req")
    await low.expect("T21.rsp")


ENRP_ROWS: dict[Callable[[Lab], Awaitable[None]], tuple[str, ...]] = {
    t08_presence: (
        "ENRP-2-01",
        "ENRP-2.1-02",
        "ENRP-2.1-03",
        "ENRP-2.1-04",
        "ENRP-2.1-06",
        "ENRP-3.4.1-01",
        "ENRP-3.4.1-02",
        "ENRP-3.6.1-02",
        "ENRP-3.6.2-01",
        "ENRP-3.6.2-02",
        "PAR-3.11-01",
        "PAR-3.15-01",
    ),
    t09_updates: (
        "ENRP-2.4-01",
        "ENRP-2.4-02",
        "ENRP-3.3.1-01",
        "ENRP-3.3.1-02",
        "ENRP-3.3.1-03",
        "ENRP-3.3.1-04",
        "ENRP-3.3.1-05",
        "ENRP-3.3.2-01",
        "ENRP-3.3.2-02",
        "ENRP-3.3.2-03",
        "ENRP-3.3.2-04",
    ),
    t10_download: (
        "ENRP-2.2-01",
        "ENRP-2.3-02",
        "ENRP-2.3-03",
        "ENRP-2.3-04",
        "ENRP-3.2.3-02",
        "ENRP-3.2.3-03",
        "ENRP-3.6.3-02",
    ),
    t11_audit: (
        "ENRP-3.6-01",
        "ENRP-3.6.1-01",
        "ENRP-3.6.1-03",
        "ENRP-3.6.1-04",
        "ENRP-3.6.3-01",
        "ENRP-3.6.3-03",
        "ENRP-3.6.3-04",
    ),
    t12_claimed: ("ENRP-3.5.1-04", "ENRP-3.5.1-08"),
    t13_takeover: (
        "ENRP-3.4.3-02",
        "ENRP-3.4.3-03",
        "ENRP-3.4.3-04",
        "ENRP-3.5.1-01",
        "ENRP-3.5.1-02",
        "ENRP-3.5.1-03",
        "ENRP-3.5.1-09",
        "ENRP-3.5.2-01",
        "ENRP-3.5.2-03",
        "ENRP-3.5.2-04",
    ),
    t13_alone: ("ENRP-3.5.1-09",),
    t13_target_returns: ("ENRP-3.5.1-05",),
    t13_yields: ("ENRP-3.5.1-06", "ENRP-3.5.2-05", "ENRP-3.5.2-06"),
    t13_continues: ("ENRP-3.5.1-07",),
    t17d_unknown_message: ("ENRP-3.7-01", "ENRP-3.7-02"),
    t21_list: ("ENRP-3.2.2.2-03", "ENRP-3.4-01"),
}
"""Each scenario with the rows of the conformance table that it covers."""

PROFILES_OF: dict[Callable[[Lab], Awaitable[None]], tuple[str, ...]] = {
    t13_yields: ("rfc",),
    t13_continues: ("rsplib",),
}
"""Profiles of the scenarios whose outcome differs in the other profile. All other scenarios are played in both."""


def profiles_of(scenario: Callable[[Lab], Awaitable[None]]) -> tuple[str, ...]:
    """Profiles in which a scenario is played."""
    return PROFILES_OF.get(scenario, ("rfc", "rsplib"))
