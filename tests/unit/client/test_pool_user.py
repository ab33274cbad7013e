"""Pool users and associations of a node, over the memory transport and in virtual time."""

import asyncio

import pytest

from rserpool.client import (
    FAST,
    ClientSettings,
    ElementState,
    NoElement,
    NoRegistrar,
    Overload,
    PoolElement,
    PoolUser,
    Refused,
    ResolvedElement,
    UnknownPool,
)
from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import (
    AsapMessage,
    Deregistration,
    DeregistrationResponse,
    ErrorCause,
    HandleResolution,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    Registration,
    RegistrationResponse,
)
from rserpool.transport.memory import MemoryTransport
from tests.support.client_bench import listed
from tests.support.client_world import ONE_POOL, REGISTRAR, SERVICE, ClientWorld, Scripted, in_world
from tests.support.waiting import eventually

LEAST_USED = Policy(policy_type=PolicyType.LEAST_USED, values=(0,))


def identifiers(elements: tuple[ResolvedElement, ...]) -> list[int]:
    return [element.identifier for element in elements]


# Users


@pytest.mark.conformance("ASAP-2.2.5-01", "ASAP-2.2.5-02")
@in_world
async def test_a_watch_survives_a_change_of_registrar(world: ClientWorld) -> None:
    first = await world.registrar("10.44.0.1")
    async with world.user("10.44.0.1", "10.44.0.9", settings=FAST) as user:
        watching = user.watch(ONE_POOL, poll_interval=1.0)
        assert await anext(watching) == ()
        async with world.element(identifier=1, settings=FAST):
            assert identifiers(await anext(watching)) == [1]
            async with world.element(identifier=2, settings=FAST):
                assert identifiers(await anext(watching)) == [1, 2]
                assert first.registrar.counters["handle resolutions"] < 10, "they get updates pushed, and do not ask"
            assert identifiers(await anext(watching)) == [1]
        assert await anext(watching) == ()
        await first.stop()
        second = await world.registrar("10.44.0.9")
        async with world.element(identifier=3, registrars=["10.44.0.9"]):
            assert identifiers(await anext(watching)) == [3]
        await watching.aclose()
    await second.stop()


@in_world
async def test_two_watches_of_one_pool_both_get_changes(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.user() as user, world.element(identifier=1):
        one, other = user.watch(ONE_POOL), user.watch(ONE_POOL)
        assert identifiers(await anext(one)) == identifiers(await anext(other)) == [1]
        await one.aclose()
        async with world.element(identifier=2):
            while identifiers(await anext(other)) != [1, 2]:
                pass
        await other.aclose()
        await eventually(lambda: not any(a.subscriptions for a in server.registrar.context.associations.values()))
    await server.stop()


class Silent:
    """A registrar that pushes no updates, and knows elements 1 to ``size``."""

    def __init__(self, world: ClientWorld) -> None:
        self.size = 1
        self.registrar = Scripted(world.network, self.answer)

    def answer(self, message: AsapMessage) -> AsapMessage:
        assert isinstance(message, HandleResolution)
        elements = tuple(listed(identifier) for identifier in range(1, self.size + 1))
        return HandleResolutionResponse(pool_handle=message.pool_handle, pool_elements=elements)


@in_world
async def test_a_registrar_without_pushed_updates_is_polled(world: ClientWorld) -> None:
    silent = Silent(world)
    async with world.user() as user:
        watching = user.watch(ONE_POOL, poll_interval=2.0)
        assert len(await anext(watching)) == 1
        silent.size = 3
        began = asyncio.get_running_loop().time()
        assert len(await anext(watching)) == 3
        assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.1)
        await watching.aclose()


@pytest.mark.conformance("ASAP-6.9.1-01", "POL-4.1-05")
@in_world
async def test_select_resolves_the_pool_only_if_the_cache_is_stale(world: ClientWorld) -> None:
    silent = Silent(world)
    silent.size = 3
    async with world.user(settings=ClientSettings(stale_cache=60)) as user:
        chosen = [(await user.select(ONE_POOL)).identifier for _ in range(4)]
        assert chosen == [1, 2, 3, 1]
        assert len(silent.registrar.heard) == 1
        chosen_one = await user.select(ONE_POOL, exclude=[2, 3])
        assert chosen_one.identifier == 1
        assert (await user.select(ONE_POOL, exclude=[chosen_one])).identifier in (2, 3)
        with pytest.raises(NoElement):
            await user.select(ONE_POOL, exclude=[1, 2, 3])
        assert len(silent.registrar.heard) == 2, "nothing was left, so it was asked again"
        user.cache_purge(ONE_POOL)
        await user.cache_populate(ONE_POOL)
        assert len(silent.registrar.heard) == 3
        assert identifiers(await user.resolve(ONE_POOL)) == [1, 2, 3]
        assert len(silent.registrar.heard) == 3
    async with world.user(settings=ClientSettings()) as user:
        await user.cache_populate(ONE_POOL)
        assert len(silent.registrar.heard) == 3, "without a cache nothing happens"


@pytest.mark.conformance("POL-4.1-01")
@in_world
async def test_sessions_spread_over_a_round_robin_pool(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.node() as node, world.user() as user:
        elements = [PoolElement(ONE_POOL, SERVICE, node=node, identifier=number) for number in (1, 2, 3)]
        await asyncio.gather(*(element.__aenter__() for element in elements))
        one_by_one = [(await user.select(ONE_POOL)).identifier for _ in range(6)]
        assert one_by_one[:3] == one_by_one[3:]
        assert sorted(one_by_one[:3]) == [1, 2, 3]
        at_once = await asyncio.gather(*(user.select(ONE_POOL) for _ in range(30)))
        assert [sum(one.identifier == number for one in at_once) for number in (1, 2, 3)] == [10, 10, 10]
        await asyncio.gather(*(element.__aexit__(None, None, None) for element in elements))
    await server.stop()


@in_world
async def test_a_report_needs_the_identifier_of_an_element(world: ClientWorld) -> None:
    silent = Silent(world)
    async with world.user() as user:
        (found,) = await user.resolve(ONE_POOL)
        assert await user.report_unreachable(found)
        assert not await user.report_unreachable(found)
        with pytest.raises(LocalProtocolError, match="needs the identifier"):
            await user.report_unreachable(ONE_POOL)
    assert silent.registrar


@in_world
async def test_resolutions_beyond_the_bound_fail(world: ClientWorld) -> None:
    async with world.user(settings=ClientSettings(requests=1)) as user:
        waiting = asyncio.create_task(user.resolve("A"))
        await asyncio.sleep(1)
        with pytest.raises(Overload):
            await user.resolve("B")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(NoRegistrar):
            await user.resolve("C", timeout=1)


@in_world
async def test_an_unanswered_request_fails_after_its_retransmissions(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.user(settings=FAST) as user:
        with pytest.raises(UnknownPool):
            await user.resolve(ONE_POOL)
        world.network.cut(REGISTRAR, "10.44.0.3")
        with pytest.raises(NoRegistrar, match="no registrar answered 11 requests"):
            await user.resolve(ONE_POOL, timeout=100)
    await server.stop()


@in_world
async def test_refusals_carry_their_cause(world: ClientWorld) -> None:
    def answer(message: AsapMessage) -> AsapMessage:
        assert isinstance(message, Registration)
        cause = ErrorCause(code=Cause.INCONSISTENT_TRANSPORT_TYPE)
        return RegistrationResponse(
            reject=True,
            pool_handle=message.pool_handle,
            pe_identifier=message.pool_element.identifier,
            operation_error=(cause,),
        )

    Scripted(world.network, answer)
    async with world.element(patience=None) as element:
        with pytest.raises(Refused) as raised:
            await element.registered()
        assert raised.value.cause == Cause.INCONSISTENT_TRANSPORT_TYPE
        assert element.state is ElementState.REFUSED


@in_world
async def test_elements_register_again_at_a_restarted_registrar(world: ClientWorld) -> None:
    scripted = Scripted(world.network, granted)
    async with world.element(identifier=7, settings=FAST) as element:
        (entry,) = element.node._associations
        entry.adapter.on_restart(entry.endpoint, entry.assoc)
        await eventually(lambda: len([one for one in scripted.heard if isinstance(one, Registration)]) == 2)
        await element.registered()


def granted(message: AsapMessage) -> AsapMessage:
    if isinstance(message, Registration):
        return RegistrationResponse(pool_handle=message.pool_handle, pe_identifier=message.pool_element.identifier)
    assert isinstance(message, Deregistration)
    return DeregistrationResponse(pool_handle=message.pool_handle, pe_identifier=message.pe_identifier)


@in_world
async def test_a_node_does_not_stop_the_transport_of_its_caller(world: ClientWorld) -> None:
    stopped = []

    class Kept(MemoryTransport):
        async def stop(self) -> None:
            stopped.append(self)

    async with PoolUser(registrars=[REGISTRAR], local="10.44.0.3", transport=Kept(world.network)):
        pass
    assert not stopped
