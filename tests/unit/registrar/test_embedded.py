"""A registrar inside a program: its options, its views, and several registrars in one loop."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

import rserpool
from rserpool import Registrar
from rserpool.client import PoolElement, PoolUser
from rserpool.errors import LocalProtocolError
from rserpool.messages import Policy, PolicyType, SCTPTransport, TCPTransport
from rserpool.protocol.registrar.actions import Renumber
from rserpool.protocol.registrar.watching import (
    ElementAdded,
    ElementRemoved,
    EventsMissed,
    PoolAdded,
    PoolRemoved,
    Reason,
)
from rserpool.settings.checks import ConfigError
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import run_virtually

HOME, ELEMENTS, USERS = "10.44.0.1", "10.44.0.2", "10.44.0.3"
LEAST_USED = PolicyType.LEAST_USED


class EmbeddedWorld:
    """A memory network with registrars, elements and users."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()

        def later(source: object, target: object, event: Callable[[], None]) -> None:
            loop.call_soon(event)

        self.network = MemoryNetwork(later)

    def registrar(self, asap: str = HOME, **options: object) -> Registrar:
        given: dict[str, object] = {"announce": (), "tcp": False, "enrp": "off"}
        return Registrar(sctp=MemoryTransport(self.network), asap=asap, **(given | options))

    def element(self, home: Registrar, identifier: int, load: int = 0) -> PoolElement:
        return PoolElement(
            "EchoPool",
            SCTPTransport(port=7777, addresses=(ip_address(ELEMENTS),)),
            registrars=home.addresses,
            policy=Policy(policy_type=LEAST_USED, values=(load,)),
            identifier=identifier,
            transport=MemoryTransport(self.network),
            local=ELEMENTS,
        )

    def user(self, home: Registrar) -> PoolUser:
        return PoolUser(registrars=home.addresses, transport=MemoryTransport(self.network), local=USERS)


def test_registrar_serves_and_lists_its_pools() -> None:
    async def main() -> None:
        world = EmbeddedWorld()
        async with world.registrar(identifier="0x11223344", enrp=f"{HOME}:0", limit_pools="3") as registrar:
            assert registrar.identifier == 0x11223344
            assert registrar.addresses == (f"{HOME}:3863",)
            assert registrar.peer_addresses[0].startswith(f"{HOME}:")
            assert registrar.pools() == ()
            assert registrar.resolve("EchoPool") == ()
            first, second = world.element(registrar, 5, load=9), world.element(registrar, 6, load=3)
            async with first, second, world.user(registrar) as user:
                (pool,) = registrar.pools()
                assert (pool.handle, pool.policy_type) == (b"EchoPool", LEAST_USED)
                assert [element.identifier for element in pool.elements] == [5, 6]
                shown = pool.elements[0]
                assert (shown.home_identifier, shown.protocol, shown.port) == (0x11223344, "sctp", 7777)
                assert shown.addresses == (ip_address(ELEMENTS),)
                assert shown.policy.load == 9
                assert [element.identifier for element in registrar.resolve(b"EchoPool")] == [6, 5]
                assert [element.identifier for element in registrar.resolve("EchoPool", items=1)] == [6]
                assert [element.identifier for element in await user.resolve("EchoPool")] == [6, 5]
                assert registrar.counters["registrations"] == 2
            assert registrar.pools() == ()

    run_virtually(main())


def test_two_registrars_in_one_loop_connect_over_enrp() -> None:
    async def main() -> None:
        world = EmbeddedWorld()
        quick = {"mentor_discovery_timeout": 0.5, "peer_heartbeat_cycle": 1.0}
        async with world.registrar(enrp=HOME, **quick) as first:
            assert first.peer_addresses == (f"{HOME}:9901",)
            other = world.registrar("10.44.0.9", enrp="10.44.0.9", peer=first.peer_addresses, **quick)
            async with other as second, world.element(first, 5):
                async with asyncio.timeout(60):
                    while not second.pools():
                        await asyncio.sleep(0.1)
                (element,) = second.pools()[0].elements
                assert element.home_identifier == first.identifier != second.identifier
                assert first.pools() == second.pools()

    run_virtually(main())


def test_keep_alives_continue_with_a_long_time_out() -> None:
    async def main() -> None:
        world = EmbeddedWorld()
        home = world.registrar(keep_alive_interval=1, keep_alive_timeout=1000)
        async with home as registrar, world.element(registrar, 5):
            await asyncio.sleep(100)
            assert 60 <= registrar.counters["keep-alive acknowledgements"] <= 200

    run_virtually(main())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"colour": "red"}, "no option colour"),
        ({"log_level": "debug"}, "log_level: the program"),
        ({"uvloop": False}, "uvloop: the program"),
        ({"moderation": 0}, "moderation: the program"),
        ({"tcp": "perhaps"}, "--tcp"),
        ({"limit_pools": 0}, "limit_pools must be more than 0"),
        ({"keep_alive_interval": -1}, "keep_alive_interval"),
        ({"identifier": 2**32}, "identifier"),
        ({"asap": 5}, "--asap"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason) as raised:
        Registrar(**options)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_errors_at_the_start_are_raised_on_entering() -> None:
    async def main() -> None:
        with pytest.raises(LocalProtocolError, match="IP address"):
            await Registrar(asap="localhost").__aenter__()
        world = EmbeddedWorld()
        with pytest.raises(ConfigError, match="the same port"):
            await world.registrar("10.44.0.1:1,10.44.0.2:2").__aenter__()
        async with world.registrar():
            with pytest.raises(OSError, match="in use"):
                await world.registrar().__aenter__()
        async with world.registrar() as again:
            assert again.addresses
        with pytest.raises(LocalProtocolError, match="already"):
            await again.__aenter__()
        with pytest.raises(LocalProtocolError, match="not been started"):
            world.registrar().pools()

    run_virtually(main())


def test_registrar_leaves_logging_alone_and_writes_its_files(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("rserpool").level)

    async def main() -> None:
        async with EmbeddedWorld().registrar(stats_file=str(tmp_path / "stats"), scalar_file=str(tmp_path / "scalars")):
            assert before == (root.level, list(root.handlers), logging.getLogger("rserpool").level)

    run_virtually(main())
    assert "scalar" in (tmp_path / "scalars").read_text()
    assert (tmp_path / "stats").read_text()


def test_registrars_bind_real_sockets_on_free_ports() -> None:
    pytest.importorskip("rserpool._fast.io.usrsctp.socket")

    async def main() -> None:
        options = {"transport": "usrsctp", "address_scope": "loopback", "announce": (), "enrp": "off"}
        async with (
            Registrar(asap="127.0.0.1:0", **options) as first,
            Registrar(asap="127.0.0.1:0", **options) as second,
        ):
            assert first.addresses != second.addresses
            service = TCPTransport(port=80, address=ip_address("127.0.0.1"))
            for registrar in (first, second):
                async with (
                    PoolElement("Web", service, registrars=registrar.addresses),
                    PoolUser(registrars=registrar.addresses) as user,
                ):
                    assert len(await user.resolve("Web")) == 1
            assert (len(first.pools()), first.counters["registrations"]) == (0, 1)

    asyncio.run(main())


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "asyncio rserpool.registrar rserpool.client rserpool.messages uvloop"
    code = f"import sys, rserpool; print([name for name in {heavy.split()} if name in sys.modules], rserpool.Registrar)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == "[] <class 'rserpool.registrar.embedded.Registrar'>\n"
    assert "Registrar" in dir(rserpool)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rserpool.Nothing


def test_watch_yields_changes_until_the_registrar_stops() -> None:
    async def main() -> None:
        world = EmbeddedWorld()
        seen: list[object] = []

        async def read(registrar: Registrar) -> None:
            async for event in registrar.watch():
                seen.append(event)

        async with world.registrar() as registrar:
            reader = asyncio.create_task(read(registrar))
            await asyncio.sleep(0)
            async with world.element(registrar, 7):
                pass
            await asyncio.sleep(0)
            server = registrar._started()
            server._carry_out([Renumber()])
        await reader
        name = {"handle": b"EchoPool", "identifier": 7}
        assert seen == [
            PoolAdded(handle=b"EchoPool"),
            ElementAdded(**name),
            ElementRemoved(**name, reason=Reason.DEREGISTERED),
            PoolRemoved(handle=b"EchoPool"),
            EventsMissed(),
        ]

    run_virtually(main())


def test_watch_continues_with_the_registrar_that_has_a_new_identifier() -> None:
    async def main() -> None:
        world = EmbeddedWorld()
        async with world.registrar() as registrar:
            changes = registrar.watch()
            first = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            registrar._started()._carry_out([Renumber()])
            assert await first == EventsMissed()
            async with world.element(registrar, 7):
                assert await anext(changes) == PoolAdded(handle=b"EchoPool")
            await changes.aclose()
            assert not registrar._started().registrar.context.watching.active

    run_virtually(main())
