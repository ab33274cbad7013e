"""Decoding and encoding of a registration, a handle resolution response with 3 elements, and a table with 50."""

from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address

from bench.cases import Case, Subject
from rserpool.messages import (
    HandleResolutionResponse,
    HandleTableResponse,
    Message,
    Policy,
    PolicyType,
    PoolElement,
    PoolEntry,
    Registration,
    SCTPTransport,
    decode,
)

HANDLE = b"ComputePool.0001"
LOAD = Policy(policy_type=PolicyType.LEAST_USED, values=(0x12345678,))


def element(identifier: int, *, asap: bool) -> PoolElement:
    address = IPv4Address(0x0A2C0000 + identifier)
    return PoolElement(
        identifier=identifier,
        home_identifier=0x22222222,
        registration_life=300,
        user_transport=SCTPTransport(port=7777, transport_use=1, addresses=(address,)),
        policy=LOAD,
        asap_transport=SCTPTransport(port=17777, addresses=(address,)) if asap else None,
    )


def elements(count: int, *, asap: bool = False) -> tuple[PoolElement, ...]:
    return tuple(element(identifier, asap=asap) for identifier in range(1, count + 1))


MESSAGES: dict[str, Message] = {
    "registration": Registration(pool_handle=HANDLE, pool_element=element(1, asap=False)),
    "answer with 3": HandleResolutionResponse(pool_handle=HANDLE, policy=LOAD, pool_elements=elements(3)),
    "table with 50": HandleTableResponse(
        sender_identifier=1,
        receiver_identifier=2,
        pool_entries=(PoolEntry(pool_handle=HANDLE, pool_elements=elements(50, asap=True)),),
    ),
}


class Decode(Subject):
    def __init__(self, message: Message) -> None:
        self.octets = message.encode()
        self.protocol = "enrp" if isinstance(message, HandleTableResponse) else "asap"

    def run(self, calls: int) -> None:
        octets, protocol = self.octets, self.protocol
        for _ in range(calls):
            decode(octets, protocol)  # type: ignore[arg-type]


class Encode(Subject):
    def __init__(self, message: Message) -> None:
        self.message = message

    def run(self, calls: int) -> None:
        message = self.message
        for _ in range(calls):
            message.encode()


WAYS: dict[str, Callable[[Message], Subject]] = {"decode": Decode, "encode": Encode}
CASES = [
    Case(name=f"{way}, {name}", make=partial(make, message))
    for way, make in WAYS.items()
    for name, message in MESSAGES.items()
]
