"""Scenarios T01-T07, T14-T20 and T22-T25: pool elements and pool users at a registrar, in profile RFC."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from rserpool.errors import Cause
from rserpool.messages import (
    DeregistrationResponse,
    EndpointUnreachable,
    HandleResolution,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    decode,
)
from tests.scenarios.octets import octets
from tests.scenarios.tester import SOON, Association, Lab

ELEMENT_PORT = 17777
ECHO_POOL = b"EchoPool"


async def granted(association: Association, name: str) -> None:
    """Send a named registration and expect that the registrar grants it."""
    association.send(name)
    answer = await association.answer()
    assert isinstance(answer, RegistrationResponse)
    assert not answer.reject
    assert not answer.operation_error


async def resolution(association: Association, handle: bytes, items: int | None = None) -> HandleResolutionResponse:
    """Resolve a pool handle."""
    association.send(HandleResolution(pool_handle=handle, items=items))
    answer = await association.answer()
    assert isinstance(answer, HandleResolutionResponse)
    return answer


async def listed(association: Association, handle: bytes, items: int | None = None) -> list[int]:
    """Resolve a pool handle; returns the listed identifiers in order."""
    return [element.identifier for element in (await resolution(association, handle, items)).pool_elements]


async def gone(association: Association, handle: bytes, identifier: int) -> None:
    """Wait until an element is no longer listed."""
    async with asyncio.timeout(SOON):
        while identifier in await listed(association, handle):
            await asyncio.sleep(0.02)


async def unknown(association: Association, handle: bytes) -> None:
    """Expect that a pool does not exist: the answer has cause 9 and nothing else."""
    answer = await resolution(association, handle)
    assert not answer.pool_elements
    assert answer.policy is None
    assert [cause.code for cause in answer.operation_error] == [Cause.UNKNOWN_POOL_HANDLE]


def element(template: str, identifier: int, policy: Policy, handle: bytes) -> Registration:
    """Build a registration from a named one, with another element, policy and pool."""
    message = decode(octets(template), "asap")
    assert isinstance(message, Registration)
    old = message.pool_element
    return Registration(
        pool_handle=handle,
        pool_element=PoolElement(
            identifier=identifier,
            home_identifier=0,
            registration_life=old.registration_life,
            user_transport=old.user_transport,
            policy=policy,
        ),
    )


async def t01_register(lab: Lab) -> None:
    association = await (await lab.registrar()).associate(ELEMENT_PORT)
    association.send("T01.req")
    await association.expect("T01.rsp")


async def t02_resolve(lab: Lab) -> None:
    tester = await lab.registrar()
    await granted(await tester.associate(ELEMENT_PORT), "T01.req")
    user = await tester.associate()
    for request in ("T02.req", "T02.req-items"):
        user.send(request)
        await user.expect("T02.rsp")
    user.send(b"\x05\xfe" + octets("T02.req")[2:])
    await user.expect("T02.rsp")


async def t03_unknown_pool(lab: Lab) -> None:
    user = await (await lab.registrar()).associate()
    user.send("T03.req")
    await user.expect("T03.rsp")


async def t04_deregister_twice(lab: Lab) -> None:
    association = await (await lab.registrar()).associate(ELEMENT_PORT)
    await granted(association, "T01.req")
    for _ in range(2):
        association.send("T04.req")
        await association.expect("T04.rsp")
        await unknown(association, ECHO_POOL)


async def t05_reregister(lab: Lab) -> None:
    association = await (await lab.registrar()).associate(ELEMENT_PORT)
    await granted(association, "T05.req1")
    await granted(association, "T05.req2")
    association.send("T05.hr")
    await association.expect("T05.hr-rsp")
    other = Policy(policy_type=PolicyType.RANDOM, values=())
    association.send(element("T05.req1", 0xAABBCC01, other, b"WrrPool!"))
    answer = await association.answer()
    assert isinstance(answer, RegistrationResponse)
    assert answer.reject
    association.send("T05.hr")
    await association.expect("T05.hr-rsp")


async def t06_inconsistent(lab: Lab) -> None:
    association = await (await lab.registrar()).associate(ELEMENT_PORT)
    await granted(association, "T01.req")
    for case in "abc":
        association.send(f"T06{case}.req")
        await association.expect(f"T06{case}.rsp")
    association.send("T02.req")
    await association.expect("T02.rsp")


async def t07_keep_alive(lab: Lab) -> None:
    tester = await lab.registrar("--keep-alive-interval=0.4", "--keep-alive-timeout=1")
    association, user = await tester.associate(ELEMENT_PORT), await tester.associate()
    await granted(association, "T01.req")
    for _ in range(10):
        assert await association.keep_alive() == octets("T07.ka-rsplib")
        assert await listed(user, ECHO_POOL) == [0xAABBCC01]
    association.acknowledging = False
    await association.keep_alive()
    await gone(user, ECHO_POOL, 0xAABBCC01)
    await unknown(user, ECHO_POOL)


async def t14_unreachable(lab: Lab) -> None:
    tester = await lab.registrar("--keep-alive-interval=60")
    association, user = await tester.associate(ELEMENT_PORT), await tester.associate()
    await granted(association, "T01.req")
    for _ in range(3):
        user.send("T14.req")
        assert await association.keep_alive() == octets("T07.ka-rsplib")
        assert await listed(user, ECHO_POOL) == [0xAABBCC01]
        await asyncio.sleep(0.25)
    user.send(EndpointUnreachable(pool_handle=ECHO_POOL, pe_identifier=0xDEAD))
    await user.silent()
    user.send("T14.req")
    await gone(user, ECHO_POOL, 0xAABBCC01)
    assert association.keep_alives.empty()


async def t15_padding(lab: Lab) -> None:
    association = await (await lab.registrar()).associate(ELEMENT_PORT)
    association.send("T15.req")
    await association.expect("T15.rsp")
    for request in (octets("T15.hr-13"), octets("T15.hr-16"), octets("T15.hr-13")[:13] + b"\xee\xee\xee"):
        association.send(request)
        answer = await association.receive()
        assert answer[4:16] == octets("T15.hr-16")[4:16]
        assert len(answer) % 4 == 0
        assert isinstance(message := decode(answer, "asap"), HandleResolutionResponse)
        assert len(message.pool_elements) == 1


async def t16_unrecognized_parameters(lab: Lab) -> None:
    """The two highest bits of an unknown parameter's type decide if the message is dropped and if it is reported."""
    tester = await lab.registrar()
    await granted(await tester.associate(ELEMENT_PORT), "T01.req")
    user = await tester.associate()
    user.send("T16a.req")
    await user.silent()
    user.send("T16b.req")
    await user.expect("T16b.err")
    user.send("T16c.req")
    await user.expect("T02.rsp")
    user.send("T16d.req")
    await user.expect("T02.rsp")
    await user.expect("T16d.err")
    user.send(bytes.fromhex("05000018 41230005 ff000000 0009000c 4563686f 506f6f6c"))
    assert (await user.receive()).hex(" ", 4) == "0e000011 000c000d 00010009 41230005 ff000000"
    user.send(octets("T02.req")[:4] + b"\x80" + octets("T02.req")[5:])
    assert (await user.receive())[0] == 0x0E
    await user.silent()


async def t17_unrecognized_messages(lab: Lab) -> None:
    """Unknown messages are dropped, or reported if the highest bits of their type demand it."""
    user = await (await lab.registrar()).associate()
    user.send("T17a.req")
    user.send("T17c.req")
    user.send(b"\xff" + octets("T17c.req")[1:])
    await user.silent()
    user.send("T17b.req")
    await user.expect("T17b.err")


async def t18_malformed(lab: Lab) -> None:
    tester = await lab.registrar()
    association = await tester.associate(ELEMENT_PORT)
    await granted(association, "T01.req")
    user = await tester.associate()
    for case in "abcdefgj":
        bad = await tester.associate()
        bad.send(f"T18{case}")
        user.send("T02.req")
        await user.expect("T02.rsp")
        while not bad.inbox.empty():
            assert (await bad.receive())[0] == 0x0E
    user.send("T18h")
    answer = await user.answer()
    assert isinstance(answer, HandleResolutionResponse)
    assert [cause.code for cause in answer.operation_error] == [Cause.UNKNOWN_POOL_HANDLE]
    for ppid in (0, 0x0B000000, 12):
        stranger = await tester.associate()
        stranger.send("T02.req", ppid)
        await stranger.silent()
    await granted(association, "T18i")
    assert sorted(await listed(user, ECHO_POOL)) == [0xAABBCC01, 0xAABBCC02]


async def t19_silent_ends(lab: Lab) -> None:
    """Elements disappear after an abort, a shutdown, or the end of their registration life."""
    tester = await lab.registrar("--keep-alive-interval=0.5")
    user = await tester.associate()
    aborted, ended, expiring = await tester.associate(), await tester.associate(), await tester.associate(ELEMENT_PORT)
    await granted(aborted, "T01.req")
    aborted.endpoint.abort(aborted.assoc)
    await gone(user, ECHO_POOL, 0xAABBCC01)
    await granted(ended, "T01.req")
    ended.endpoint.shutdown(ended.assoc)
    await gone(user, ECHO_POOL, 0xAABBCC01)
    await granted(expiring, "T19.req")
    await expiring.keep_alive()
    await expiring.expect("T19.exp")
    await unknown(user, b"LifePool")


async def t20_policies(lab: Lab) -> None:
    tester = await lab.registrar("--keep-alive-interval=60")
    association, user = await tester.associate(ELEMENT_PORT), await tester.associate()
    one, two, three = 0xAABBCC01, 0xAABBCC02, 0xAABBCC03
    for pool in ("prio", "lu", "rr"):
        for number in (1, 2, 3):
            await granted(association, f"T20.{pool}{number}")
    assert await listed(user, b"PrioPool") == [two, three, one]
    assert await listed(user, b"LuPool00") == [two, three, one]
    rotations = [[one, two, three], [two, three, one], [three, one, two]]
    assert [await listed(user, b"RrPool00") for _ in range(6)] == rotations * 2
    for handle, kind, values in (
        (b"WrrPool0", PolicyType.WEIGHTED_ROUND_ROBIN, ((1,), (3,))),
        (b"WrandPoo", PolicyType.WEIGHTED_RANDOM, ((0,), (5,))),
        (b"LudPool0", PolicyType.LEAST_USED_WITH_DEGRADATION, ((0x10000000, 0x30000000), (0x20000000, 0x08000000))),
    ):
        for identifier, value in zip((one, two), values, strict=True):
            association.send(element("T20.rr1", identifier, Policy(policy_type=kind, values=value), handle))
            answer = await association.answer()
            assert isinstance(answer, RegistrationResponse)
            assert not answer.reject
    heads = [(await listed(user, b"WrrPool0"))[0] for _ in range(12)]
    assert Counter(heads) == {one: 3, two: 9}
    assert all(heads[i : i + 4].count(one) <= 1 for i in range(9))
    assert {(await listed(user, b"WrandPoo"))[0] for _ in range(20)} == {two}
    assert [(await listed(user, b"LudPool0"))[0] for _ in range(5)] == [one, two, two, two, two]
    for number in range(7):
        association.send(
            element("T20.rr1", 0x100 + number, Policy(policy_type=PolicyType.RANDOM, values=()), b"Seven000")
        )
        await association.answer()
    assert sorted(await listed(user, b"Seven000")) == [0x100 + number for number in range(7)]
    assert len(await listed(user, b"Seven000", items=2)) == 2


async def t22_tcp(lab: Lab) -> None:
    """Resolution works over TCP, and registration over TCP is rejected."""
    tester = await lab.registrar()
    await granted(await tester.associate(ELEMENT_PORT), "T01.req")
    request, answer = octets("T22.req"), octets("T02.rsp")
    assert await lab.exchange_over_tcp([request + request, request[:5], request[5:]], 3 * len(answer)) == 3 * answer
    refusal = await lab.exchange_over_tcp([octets("T01.req")], 32)
    message = decode(refusal, "asap")
    assert isinstance(message, RegistrationResponse)
    assert message.reject


async def t23_updates(lab: Lab) -> None:
    """A subscribed pool user receives the changes of a pool."""
    tester = await lab.registrar()
    association, user = await tester.associate(ELEMENT_PORT), await tester.associate()
    await granted(association, "T01.req")
    user.send(HandleResolution(subscribe=True, pool_handle=b"NoSuchPool"))
    assert (await user.receive())[1] == 0
    user.send("T23.req")
    await user.expect("T23.rsp")
    round_robin = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
    association.send(element("T01.req", 0xAABBCC02, round_robin, ECHO_POOL))
    await association.receive()
    update = await user.answer()
    assert isinstance(update, HandleResolutionResponse)
    assert update.accept_subscription
    assert sorted(found.identifier for found in update.pool_elements) == [0xAABBCC01, 0xAABBCC02]
    association.endpoint.abort(association.assoc)
    end = await user.answer()
    assert isinstance(end, HandleResolutionResponse)
    assert not end.accept_subscription
    assert [cause.code for cause in end.operation_error] == [Cause.UNKNOWN_POOL_HANDLE]


async def t24_spoofing(lab: Lab) -> None:
    """A registration with an address outside its association is rejected, and so is a stranger's deregistration."""
    tester = await lab.registrar()
    association, stranger = await tester.associate(ELEMENT_PORT), await tester.associate()
    await granted(association, "T01.req")
    association.send("T24a.req")
    await association.expect("T24a.rsp")
    stranger.send("T24b.req")
    answer = await stranger.answer()
    assert isinstance(answer, DeregistrationResponse)
    assert [cause.code for cause in answer.operation_error] == [Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS]
    stranger.send("T02.req")
    await stranger.expect("T02.rsp")


async def t25_announcement(lab: Lab) -> None:
    await lab.registrar()
    for _ in range(3):
        assert await lab.announcement() == octets("T25.ann-tp")


ASAP_ROWS: dict[Callable[[Lab], Awaitable[None]], tuple[str, ...]] = {
    t01_register: ("ASAP-2.2.3-01", "ASAP-2.2.3-03", "ASAP-3.1-23", "ASAP-3.1-33", "ASAP-3.1-34", "PAR-3.8-01"),
    t02_resolve: (
        "ASAP-1.1-01",
        "ASAP-2.2.6-01",
        "ASAP-2.2.6-05",
        "ASAP-3.3-12",
        "ASAP-3.3-13",
        "POL-4.1-01",
        "PAR-4-04",
        "PAR-2-01",
    ),
    t03_unknown_pool: ("ASAP-2.2.6-03", "ASAP-2.2.6-06", "ASAP-3.3-16", "PAR-3.12.11-01"),
    t04_deregister_twice: (
        "ASAP-2.2.4-02",
        "ASAP-3.2-08",
        "ASAP-3.2-09",
        "ASAP-3.2-10",
        "ASAP-3.2-12",
        "ASAP-3.2-15",
    ),
    t05_reregister: (
        "ASAP-3.1-27",
        "ASAP-3.1-28",
        "ASAP-3.1-29",
        "ASAP-3.1-30",
        "ASAP-3.3-15",
    ),
    t06_inconsistent: (
        "ASAP-3.1-24",
        "ASAP-3.1-26",
        "ASAP-3.1-35",
        "PAR-3.12.6-01",
        "PAR-3.12.8-01",
        "PAR-3.12.9-01",
    ),
    t07_keep_alive: ("ASAP-2.2.7-03", "ASAP-3.5-11", "ASAP-3.5-12", "REQ-3237-2.9-01"),
    t14_unreachable: ("ASAP-3.5-06", "ASAP-3.5-08", "ASAP-3.5-09", "ASAP-3.5-10"),
    t15_padding: (
        "PAR-3-07",
        "PAR-3-08",
        "PAR-3-09",
        "PAR-3-10",
        "PAR-4-05",
        "PAR-4-06",
        "PAR-4-07",
    ),
    t16_unrecognized_parameters: (
        "PAR-3-02",
        "PAR-3-03",
        "PAR-3-04",
        "PAR-3-05",
        "PAR-3.12-02",
        "PAR-3.12.2-01",
        "ASAP-2.2.14-01",
        "ASAP-2.2.14-02",
    ),
    t17_unrecognized_messages: ("PAR-4-01", "PAR-4-02", "PAR-4-03", "PAR-4-08", "PAR-3.12.3-01"),
    t18_malformed: ("PAR-3-06", "PAR-3.4-01", "PAR-3.9-01", "ASAP-5-02"),
    t19_silent_ends: ("ASAP-2.2.4-01", "ASAP-3.2-01", "PAR-3.10-04"),
    t20_policies: (
        "ASAP-3.1-25",
        "ASAP-3.3-14",
        "POL-3.1-01",
        "POL-3.2-01",
        "POL-4.1-02",
        "POL-4.1-03",
        "POL-4.1-04",
        "POL-4.2-01",
        "POL-4.2-02",
        "POL-4.3-01",
        "POL-4.5-01",
        "POL-5.1-01",
        "POL-5.1-04",
        "POL-5.2-01",
        "POL-5.2-02",
        "POL-5.2-03",
    ),
    t22_tcp: ("ASAP-2.1-01", "ASAP-2.1-02", "ASAP-3.3-12"),
    t23_updates: ("ASAP-2.2.5-01", "ASAP-2.2.5-03", "ASAP-2.2.5-04", "REQ-3237-2.11-01"),
    t24_spoofing: ("ASAP-2.2.2-02", "ASAP-3.1-32", "ASAP-3.2-11", "ASAP-3.2-13", "PAR-3.12.4-01", "SEC-5355-2.3-01"),
    t25_announcement: ("ASAP-2.2.10-01", "ASAP-3.6-01", "ASAP-3.6-02"),
}
"""Each scenario with the rows of the conformance table that it covers."""
