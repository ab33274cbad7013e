"""Pool elements and pool users on a node, with a registrar, over the memory transport and in virtual time."""

import asyncio
from ipaddress import ip_address

import pytest

from rserpool.client import (
    FAST,
    ClientSettings,
    ElementState,
    ElementStatus,
    EventsDropped,
    NoRegistrar,
    PoolElement,
    PoolUser,
    Refused,
    ResolvedElement,
)
from rserpool.client.event_queue import EVENTS_KEPT, EventQueue
from rserpool.client.node_addresses import announcement_groups, local_addresses, server_addresses
from rserpool.errors import LocalProtocolError
from rserpool.messages import (
    AsapError,
    ErrorCause,
    OpaqueTransport,
    Policy,
    PolicyType,
    SCTPTransport,
    ServerAnnounce,
    TCPTransport,
)
from rserpool.model.addresses import Scope
from rserpool.protocol.registrar.actions import Protocol
from rserpool.registrar.server import Server
from rserpool.transport.host import host_addresses
from tests.support.client_world import ONE_POOL, REGISTRAR, SERVICE, ClientWorld, Scripted, in_world
from tests.support.waiting import eventually

LEAST_USED = Policy(policy_type=PolicyType.LEAST_USED, values=(0,))
GROUP = "239.0.0.50:3863"


def identifiers(elements: tuple[ResolvedElement, ...]) -> list[int]:
    return [element.identifier for element in elements]


def registered_load(server: Server, identifier: int = 7) -> float:
    view = server.registrar.handlespace.find(ONE_POOL.encode(), identifier)
    assert view is not None
    return int.from_bytes(view.policy_parameter[8:12]) / 0xFFFFFFFF


# Nodes


@pytest.mark.conformance("ASAP-4-04", "REQ-3237-2.7-01", "ASAP-3.3-03")
@in_world
async def test_elements_and_a_user_share_a_node(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.node() as node:
        async with (
            PoolElement(ONE_POOL, SERVICE, node=node, identifier=1),
            PoolElement(ONE_POOL, SERVICE, node=node, identifier=2),
            PoolElement("OtherPool", SERVICE, node=node, identifier=1),
            PoolUser(node=node) as user,
        ):
            assert identifiers(await user.resolve(ONE_POOL)) == [1, 2]
            assert identifiers(await user.resolve("OtherPool")) == [1]
            assert len(server.registrar.context.associations) == 1
            assert len(server.registrar.handlespace) == 3
        await eventually(lambda: not len(server.registrar.handlespace))
        assert server.registrar.counters["deregistrations"] == 3
        assert node.home is not None, "the node lives on"
    await eventually(lambda: not server.registrar.context.associations)
    await server.stop()


@in_world
async def test_a_node_that_is_not_open_refuses_calls(world: ClientWorld) -> None:
    user = world.user()
    with pytest.raises(LocalProtocolError, match="not open"):
        await user.resolve(ONE_POOL)
    async with user:
        pass
    with pytest.raises(LocalProtocolError, match="not open"):
        await user.resolve(ONE_POOL)
    with pytest.raises(LocalProtocolError, match="another one"):
        await user.node.open()
    with pytest.raises(LocalProtocolError, match="node with SCTP"):
        await PoolElement(ONE_POOL, SERVICE, registrars=["tcp:10.44.0.1"]).__aenter__()


@in_world
async def test_closing_a_node_ends_waiting_calls(world: ClientWorld) -> None:
    node = world.node()
    await node.open()
    user = PoolUser(node=node)
    waiting = asyncio.create_task(user.resolve(ONE_POOL))
    watching = asyncio.create_task(anext(user.watch(ONE_POOL)))
    element = PoolElement(ONE_POOL, SERVICE, node=node, patience=None)
    await element.__aenter__()
    registering = asyncio.create_task(element.registered())
    events = element.events()
    await asyncio.sleep(1)
    await node.close()
    with pytest.raises(NoRegistrar, match="closed"):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await watching
    with pytest.raises(LocalProtocolError, match="not registered any more"):
        await registering
    await element.__aexit__(None, None, None)
    assert [event.reason async for event in events if isinstance(event, ElementStatus)] == ["the node was stopped"]


@pytest.mark.conformance("ASAP-3.6-03", "REQ-5351-3.2-01", "ASAP-3.1-02")
@in_world
async def test_a_registrar_is_found_by_its_announcement(world: ClientWorld) -> None:
    server = await world.registrar()
    node = world.node(registrars=(), groups=[GROUP], interfaces=[])
    async with node, PoolElement(ONE_POOL, SERVICE, node=node, patience=None, settings=FAST) as element:
        world.network.join("239.0.0.50", 3863, node.announced)
        await asyncio.sleep(60)
        assert element.state is ElementState.HUNT
        announcement = ServerAnnounce(server_identifier=0x22222222).encode()
        asap = server.endpoints[Protocol.ASAP]
        world.network.datagram(asap, announcement, ip_address("239.0.0.50"), 3863)  # type: ignore[arg-type]
        began = asyncio.get_running_loop().time()
        await element.registered()
        assert asyncio.get_running_loop().time() - began < 0.1
    await server.stop()


@pytest.mark.conformance("ASAP-2.1-02", "ASAP-3.3-12")
@in_world
async def test_a_user_resolves_over_tcp(world: ClientWorld) -> None:
    server = await world.registrar(REGISTRAR, "--tcp=yes")
    async with world.element(identifier=7), world.user("tcp:10.44.0.1") as user:
        assert identifiers(await user.resolve(ONE_POOL)) == [7]
        assert sorted(one.peer.sctp for one in server.registrar.context.associations.values()) == [False, True]
    await server.stop()


def test_registrar_addresses_are_parsed() -> None:
    first, second = server_addresses(["10.0.0.1,10.1.0.1", "tcp:[2001:db8::1]:99"])
    assert (len(first.addresses), first.port, first.sctp) == (2, 3863, True)
    assert (str(second.addresses[0]), second.port, second.sctp) == ("2001:db8::1", 99, False)
    for wrong in ("tcp:10.0.0.1,10.0.0.2", "nonsense", "tcp:"):
        with pytest.raises(LocalProtocolError):
            server_addresses([wrong])


@pytest.mark.parametrize("wrong", [{"server_hunt": 0.0}, {"candidates": 0}, {"stale_cache": -1.0}, {"hunt_max": -5}])
def test_invalid_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(wrong))):
        ClientSettings(**wrong)  # type: ignore[arg-type]


def test_announcement_groups_default_to_the_known_ones() -> None:
    assert len(announcement_groups(None, [])) == 3
    assert announcement_groups(None, ["10.0.0.1"]) == []
    assert len(announcement_groups(["239.0.0.50"], ["10.0.0.1"])) == 1
    with pytest.raises(LocalProtocolError, match="not a multicast address"):
        announcement_groups(["10.0.0.1"], [])


@pytest.mark.conformance("ASAP-3.1-03", "ASAP-2.2.1-03")
def test_local_addresses() -> None:
    assert local_addresses(server_addresses(["127.0.0.1", "127.0.0.1:99"]), multihomed=True) == ["127.0.0.1"]
    far = server_addresses(["203.0.113.5"])
    everything = local_addresses(far, multihomed=True)
    assert everything == (list(dict.fromkeys(host_addresses(Scope.SITE_LOCAL))) or ["127.0.0.1"])
    assert len(local_addresses(far, multihomed=False)) == 1
    for own in everything:
        assert local_addresses(far, [ip_address(own), ip_address("203.0.113.9")], multihomed=False)[0] == own or (
            own == "127.0.0.1"
        )


# Elements


@in_world
async def test_an_element_waits_for_its_registrar(world: ClientWorld) -> None:
    async with world.element(patience=None, identifier=7) as element:
        await asyncio.sleep(100)
        assert element.state is ElementState.HUNT
        assert element.home is None
        server = await world.registrar()
        await element.registered()
        assert element.state is ElementState.READY
        assert element.home is not None
        assert element.home.port == 3863
    assert not len(server.registrar.handlespace)
    await server.stop()


@in_world
async def test_without_a_registrar_entering_fails_when_patience_ends(world: ClientWorld) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(NoRegistrar, match="within 10 s"):
        await world.element(patience=10).__aenter__()
    assert asyncio.get_running_loop().time() - began == pytest.approx(10)


@in_world
async def test_entering_raises_the_cause_of_the_refusal(world: ClientWorld) -> None:
    Scripted(world.network, lambda message: AsapError(operation_error=(ErrorCause(code=0x100B),)))
    with pytest.raises(Refused, match="cause 0x100b"):
        await world.element().__aenter__()


@in_world
async def test_leaving_does_not_wait_for_a_dead_registrar(world: ClientWorld) -> None:
    server = await world.registrar()
    element = world.element()
    await element.__aenter__()
    world.network.cut(REGISTRAR, "10.44.0.2")
    began = asyncio.get_running_loop().time()
    await element.__aexit__(None, None, None)
    assert asyncio.get_running_loop().time() - began == pytest.approx(5)
    await server.stop()


@in_world
async def test_a_load_is_registered_at_once(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.element(policy=LEAST_USED, load=0.25, identifier=7) as element:
        assert element.load == pytest.approx(0.25)
        assert registered_load(server) == pytest.approx(0.25)
        for load in (0.5, 0.75, 1.0):
            element.load = load
        await element.registered()
        assert registered_load(server) == 1
        assert server.registrar.counters["re-registrations"] <= 2
    await server.stop()


@in_world
async def test_a_load_needs_a_policy_with_a_load(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.element() as element:
        with pytest.raises(LocalProtocolError, match="no load"):
            element.load = 0.5
        with pytest.raises(LocalProtocolError, match="no load"):
            assert element.load
    with pytest.raises(LocalProtocolError, match="no load"):
        world.element(load=0.5)
    with pytest.raises(LocalProtocolError, match=r"0\.0 to 1\.0"):
        world.element(policy=LEAST_USED, load=1.5)
    degrading = Policy(policy_type=PolicyType.PRIORITY_LEAST_USED)
    assert world.element(policy=degrading, load=0.5).policy.values == (0x80000000, 0)
    await server.stop()


@in_world
async def test_changed_addresses_are_registered(world: ClientWorld) -> None:
    server = await world.registrar()
    local = ["10.44.0.2", "10.45.0.2"]
    async with world.element(local=local, identifier=7) as element, world.user() as user:
        element.set_addresses([ip_address(one) for one in local])
        await element.registered()
        assert [str(one) for one in (await user.resolve(ONE_POOL))[0].addresses] == local
        element.user_transport = SCTPTransport(port=9, addresses=SERVICE.addresses)
        await element.registered()
        assert (await user.resolve(ONE_POOL))[0].port == 9
        with pytest.raises(LocalProtocolError, match="0 addresses"):
            element.set_addresses([])
    with pytest.raises(LocalProtocolError, match="OpaqueTransport"):
        PoolElement("P", OpaqueTransport(value=b"x"), registrars=["10.0.0.1"]).set_addresses([ip_address("10.0.0.1")])
    tcp = PoolElement("P", TCPTransport(port=1, address=ip_address("10.0.0.2")), registrars=["10.0.0.1"])
    tcp.set_addresses([ip_address("10.0.0.3")])
    assert tcp.user_transport == TCPTransport(port=1, address=ip_address("10.0.0.3"))
    await server.stop()


@in_world
async def test_foreign_addresses_cause_a_warning(world: ClientWorld) -> None:
    server = await world.registrar()
    seen: list[str] = []
    import logging

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Kept()
    logging.getLogger("rserpool.client").addHandler(handler)
    try:
        with pytest.raises(Refused):
            await world.element(local="10.44.0.5").__aenter__()
    finally:
        logging.getLogger("rserpool.client").removeHandler(handler)
    assert any("cannot register 10.44.0.2" in text for text in seen)
    await server.stop()


@in_world
async def test_an_element_reports_its_changes_of_state(world: ClientWorld) -> None:
    first, second = await world.registrar("10.44.0.1"), await world.registrar("10.44.0.9")
    async with world.element(registrars=["10.44.0.1", "10.44.0.9"], settings=FAST) as element:
        events = element.events()
        assert element.home is not None
        home, other = (first, second) if str(element.home.addresses[0]) == "10.44.0.1" else (second, first)
        await home.stop()
        await eventually(lambda: len(other.registrar.handlespace))
        await element.registered()
    seen = [event async for event in events]
    states = [event.state for event in seen if isinstance(event, ElementStatus)]
    assert states == [ElementState.HUNT, ElementState.REG, ElementState.READY, ElementState.DEREG, ElementState.IDLE]
    assert next(event.reason for event in seen if isinstance(event, ElementStatus)) == "the registrar is lost"
    await other.stop()


@in_world
async def test_a_slow_reader_of_events_gets_the_number_of_dropped_ones(world: ClientWorld) -> None:
    queue: EventQueue[int] = EventQueue()
    for number in range(EVENTS_KEPT + 5):
        queue.put(number)
    queue.close()
    queue.put(0)
    seen = [event async for event in queue]
    assert seen[0] == EventsDropped(count=5)
    assert seen[1:] == list(range(5, EVENTS_KEPT + 5))


@pytest.mark.conformance("REQ-3237-2.1-01")
@in_world
async def test_an_element_survives_a_crash_of_its_registrar_within_a_second(world: ClientWorld) -> None:
    first, second = await world.registrar("10.44.0.1"), await world.registrar("10.44.0.9")
    async with (
        world.element(registrars=["10.44.0.1", "10.44.0.9"], settings=FAST) as element,
        world.user("10.44.0.9", "10.44.0.1", settings=FAST) as user,
    ):
        home = first if len(first.registrar.handlespace) else second
        other = second if home is first else first
        began = asyncio.get_running_loop().time()
        world.network.vanish(home.endpoints[Protocol.ASAP])  # type: ignore[arg-type]
        await eventually(lambda: len(other.registrar.handlespace))
        assert identifiers(await user.resolve(ONE_POOL)) == [element.identifier]
        assert asyncio.get_running_loop().time() - began < 1
    await other.stop()
    await home.stop()


@in_world
async def test_elements_refused_for_lack_of_resources_register_later(world: ClientWorld) -> None:
    server = await world.registrar(REGISTRAR, "--limit-elements-per-pool=1")
    first, second = world.element(identifier=1), world.element(identifier=2, patience=None, settings=FAST)
    async with first, second:
        await asyncio.sleep(5)
        assert second.state is not ElementState.READY
        await first.__aexit__(None, None, None)
        await second.registered()
    await server.stop()
