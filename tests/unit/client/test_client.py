"""Pool elements and pool users against a registrar, over the memory transport and in virtual time."""

import asyncio

import pytest

from rserpool.client import NoRegistrar, PoolUser, Refused, RegistrationTimes, UnknownPool
from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import (
    AsapMessage,
    Deregistration,
    DeregistrationResponse,
    ErrorCause,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    Registration,
    RegistrationResponse,
)
from rserpool.messages import PoolElement as Parameter
from tests.support.client_world import ONE_POOL, REGISTRAR, SERVICE, ClientWorld, Scripted, Stranger, in_world
from tests.support.waiting import eventually


@in_world
async def test_an_element_registers_updates_and_deregisters(world: ClientWorld) -> None:
    server = await world.registrar()
    policy = Policy(policy_type=PolicyType.LEAST_USED, values=(1000,))
    async with world.user() as user:
        with pytest.raises(UnknownPool) as raised:
            await user.resolve(ONE_POOL)
        assert raised.value.cause == Cause.UNKNOWN_POOL_HANDLE
        async with world.element(identifier=7, policy=policy) as element:
            (found,) = await user.resolve(b"EchoPool")
            assert found.identifier == 7
            assert found.home_identifier == 0x22222222
            assert (found.protocol, found.addresses, found.port) == ("sctp", SERVICE.addresses, 7777)
            assert found.policy == policy
            element.policy = Policy(policy_type=PolicyType.LEAST_USED, values=(2000,))
            await element.registered()
            assert (await user.resolve(ONE_POOL))[0].policy.load == 2000
        with pytest.raises(UnknownPool):
            await user.resolve(ONE_POOL)
    await server.stop()


@in_world
async def test_keep_alives_are_acknowledged_and_the_registration_renewed(world: ClientWorld) -> None:
    server = await world.registrar(REGISTRAR, "--keep-alive-interval=2", "--keep-alive-timeout=1")
    async with world.element(times=RegistrationTimes(life=100)):
        await asyncio.sleep(1000)
        assert len(server.registrar.handlespace) == 1
        assert server.registrar.counters["keep-alive acknowledgements"] > 300
        assert 11 <= server.registrar.counters["re-registrations"] <= 14
        assert not server.registrar.counters["elements silent"]
    await server.stop()


@in_world
async def test_a_refused_registration_is_an_error_with_the_cause(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.element(identifier=1):
        other = world.element(identifier=2, policy=Policy(policy_type=PolicyType.RANDOM, values=()))
        with pytest.raises(Refused, match="inconsistent pooling policy") as raised:
            await other.__aenter__()
        assert raised.value.cause == Cause.INCONSISTENT_POOLING_POLICY
        assert len(server.registrar.handlespace) == 1
    await server.stop()


@in_world
async def test_an_element_moves_to_the_next_registrar(world: ClientWorld) -> None:
    first, second = await world.registrar("10.44.0.1"), await world.registrar("10.44.0.9")
    async with world.element(registrars=["10.44.0.1", "10.44.0.9"]):
        home, other = (first, second) if len(first.registrar.handlespace) else (second, first)
        await home.stop()
        await eventually(lambda: len(other.registrar.handlespace))
    await other.stop()


@in_world
async def test_a_user_asks_the_next_registrar(world: ClientWorld) -> None:
    first, second = await world.registrar("10.44.0.1"), await world.registrar("10.44.0.9")
    async with world.user("10.44.0.1", "10.44.0.9") as user:
        for _ in range(3):
            with pytest.raises(UnknownPool):
                await user.resolve(ONE_POOL)
        await first.stop()
        with pytest.raises(UnknownPool):
            await user.resolve(ONE_POOL)
    await second.stop()


@in_world
async def test_no_registrar_is_an_error_after_the_timeout(world: ClientWorld) -> None:
    loop = asyncio.get_running_loop()
    async with world.user() as user:
        began = loop.time()
        with pytest.raises(NoRegistrar, match="within 3 s"):
            await user.resolve(ONE_POOL, timeout=3)
        assert loop.time() - began == pytest.approx(3)


def test_no_registrar_at_all_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="no registrar"):
        PoolUser(registrars=[], groups=[])


@in_world
async def test_reports_reach_the_registrar(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.element(identifier=7), world.user() as user:
        assert not await user.report_unreachable(ONE_POOL, 7), "nobody has used it yet"
        await user.resolve(ONE_POOL)
        assert await user.report_unreachable(ONE_POOL, 7)
        await eventually(lambda: server.registrar.counters["reports"])
        assert server.registrar.counters["keep-alives"] == 1
        assert [found.identifier for found in await user.resolve(ONE_POOL)] == [7]
    await server.stop()


@pytest.mark.conformance("ASAP-3.4-01", "ASAP-3.4-02", "ASAP-3.4-03", "ASAP-3.4-04", "ASAP-2.2.7-01", "ASAP-2.2.7-02")
@in_world
async def test_only_keep_alives_for_this_element_are_acknowledged(world: ClientWorld) -> None:
    server = await world.registrar()
    async with world.element(identifier=7) as element:
        stranger = Stranger(world.network)
        stranger.call(element.node.port)
        await eventually(lambda: stranger.up)
        for handle, identifier in ((b"OtherPool", None), (b"EchoPool", 8)):
            stranger.keep_alive(handle, identifier)
        await asyncio.sleep(1)
        assert not stranger.received
        for identifier in (None, 7):
            stranger.keep_alive(b"EchoPool", identifier)
            await eventually(lambda: bool(stranger.received))
            assert stranger.received.pop().hex() == "080000180009000c4563686f506f6f6c000e000800000007"
            assert element.home is not None
            assert element.home.identifier == 0
            # The element acknowledges, but ends the association: this registrar is not its home.
            await eventually(lambda: not stranger.up)
            stranger.call(element.node.port)
            await eventually(lambda: stranger.up)
        stranger.keep_alive(b"EchoPool", 7, home=True)
        await eventually(lambda: any(data[0] == 1 for data in stranger.received))
        assert element.home.identifier == 0x33333333
    await server.stop()


@pytest.mark.conformance("ASAP-2.2.3-02", "PAR-3.10-03", "PAR-3.12.1-01", "ASAP-2.2.1-01")
@in_world
async def test_an_error_in_a_granted_registration_is_a_warning(world: ClientWorld) -> None:
    def answer(message: AsapMessage) -> AsapMessage:
        kind = RegistrationResponse if isinstance(message, Registration) else DeregistrationResponse
        warning = (ErrorCause(code=Cause.UNSPECIFIED_ERROR),) if isinstance(message, Registration) else ()
        return kind(pool_handle=b"EchoPool", pe_identifier=7, operation_error=warning)

    registrar = Scripted(world.network, answer)
    async with world.element(identifier=7):
        pass
    first, last = registrar.heard
    assert isinstance(first, Registration)
    assert first.pool_element.home_identifier == 0
    assert isinstance(last, Deregistration)


@pytest.mark.conformance("ASAP-2.2.6-02", "ASAP-2.2.6-07")
@in_world
async def test_answers_without_a_policy_or_with_an_error_are_accepted(world: ClientWorld) -> None:
    element = Parameter(
        identifier=7,
        home_identifier=1,
        registration_life=3,
        user_transport=SERVICE,
        policy=Policy(policy_type=PolicyType.ROUND_ROBIN, values=()),
    )
    errors: list[ErrorCause] = []

    def answer(message: AsapMessage) -> AsapMessage:
        listed = () if errors else (element,)
        return HandleResolutionResponse(pool_handle=b"EchoPool", pool_elements=listed, operation_error=tuple(errors))

    Scripted(world.network, answer)
    async with world.user() as user:
        assert [found.identifier for found in await user.resolve(ONE_POOL)] == [7]
        errors.append(ErrorCause(code=0xF00D))
        with pytest.raises(Refused, match="cause 0xf00d") as raised:
            await user.resolve(ONE_POOL)
        assert raised.value.cause == Cause.UNSPECIFIED_ERROR


@in_world
async def test_a_duplicate_registrar_identifier_is_replaced(world: ClientWorld) -> None:
    first = await world.registrar("10.44.0.1", "--enrp=10.44.0.1:9901")
    second = await world.registrar("10.44.0.9", "--enrp=10.44.0.9:9901", "--peer=10.44.0.1")
    assert first.registrar.settings.identifier == second.registrar.settings.identifier
    await eventually(lambda: len(first.registrar.enrp.peers) == len(second.registrar.enrp.peers) == 1)
    assert first.registrar.settings.identifier != second.registrar.settings.identifier
    await first.stop()
    await second.stop()
