"""Announcements over the loopback interface."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from rserpool.transport.interface import Address
from rserpool.transport.udp.announce import AnnounceListener, Announcer, as_group
from rserpool.transport.udp.sockets import UdpSockets
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, LOOPBACK, Recorder, transport

pytestmark = pytest.mark.needs_usrsctp

ANNOUNCE = bytes.fromhex("0a000008 22222222")
GROUPS = [as_group("239.0.0.50", 23863), as_group("239.0.0.51", 23863), as_group("ff02::50", 23863)]


class Heard(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.datagrams: list[tuple[bytes, Address, int]] = []

    def __call__(self, data: bytes, address: Address, port: int) -> None:
        self.datagrams.append((data, address, port))
        self._note("datagram")


@pytest.mark.conformance("ASAP-3.6-01")
def test_an_endpoint_announces_from_its_own_port(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp") as made:
            endpoint = await made.endpoint(Recorder(), addresses=[HOST])
            heard = Heard()
            listener = AnnounceListener(GROUPS[:2], heard, interfaces=["lo"])
            announcer = Announcer(endpoint, GROUPS[:2])  # type: ignore[arg-type]
            assert announcer.announce(ANNOUNCE) == 2
            await heard.until(lambda: len(heard.datagrams) == 2)
            assert heard.datagrams == [(ANNOUNCE, LOOPBACK, endpoint.port)] * 2
            listener.close()
            listener.close()

    run(main())


@pytest.mark.needs_kernel
def test_groups_of_both_families_are_joined(run: Run) -> None:
    """Needs an interface dum0 that takes multicast of both families; the loopback interface has no route for IPv6."""

    async def main() -> None:
        sockets = UdpSockets([IPv4Address("10.44.0.1"), IPv6Address("fd44::1")], 0)
        heard = Heard()
        listener = AnnounceListener(GROUPS, heard, interfaces=["dum0"])
        assert Announcer(sockets, GROUPS).announce(ANNOUNCE) == 3
        await heard.until(lambda: len(heard.datagrams) == 3)
        assert {port for _, _, port in heard.datagrams} == {sockets.port}
        assert sorted(str(address) for _, address, _ in heard.datagrams) == ["10.44.0.1", "10.44.0.1", "fd44::1"]
        listener.close()
        sockets.close()

    run(main())


def test_a_listener_receives_only_its_groups(run: Run) -> None:
    async def main() -> None:
        sockets = UdpSockets([LOOPBACK], 0)
        first, second = Heard(), Heard()
        listeners = [
            AnnounceListener(GROUPS[:1], first, interfaces=["lo"]),
            AnnounceListener(GROUPS[1:2], second, interfaces=["lo"]),
        ]
        for group, port in GROUPS[:2]:
            sockets.send_datagram(str(group).encode(), group, port)
        await first.until(lambda: bool(first.datagrams))
        await second.until(lambda: bool(second.datagrams))
        assert [data for data, _, _ in first.datagrams] == [b"239.0.0.50"]
        assert [data for data, _, _ in second.datagrams] == [b"239.0.0.51"]
        for listener in listeners:
            listener.rejoin()
            listener.close()
        sockets.close()

    run(main())


def test_impossible_groups_are_refused_at_once(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="not a multicast"):
            as_group("10.0.0.1", 3863)
        with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
            AnnounceListener(GROUPS[:1], Heard(), interfaces=["no-such-interface"])
        with UdpSocketsFor(IPv4Address(HOST)) as sockets:
            assert Announcer(sockets, [GROUPS[2]]).announce(ANNOUNCE) == 0
            with pytest.raises(OSError, match="Address already in use"):
                UdpSockets([LOOPBACK], sockets.port)

    run(main())


class UdpSocketsFor(UdpSockets):
    def __init__(self, *addresses: Address) -> None:
        super().__init__(addresses, 0)

    def __enter__(self) -> "UdpSocketsFor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
