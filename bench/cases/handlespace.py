"""Registration, re-registration, deregistration and handle resolution in one pool; and the fast lane."""

import random
import struct
from collections.abc import Callable
from functools import lru_cache, partial

from bench.cases import Case, Subject
from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane as FastLane
from rserpool._fast.lane.lane import LaneContext
from rserpool._fast.lane.registration import AdmissionLimits, Registrant
from tests.support import elements as e

OWN, NOW, HANDLE = 7, 10**12, b"Pool"
PLENTY = 1e12
LIMITS = AdmissionLimits(
    handle_octets=255, pools=9, elements_per_pool=9, elements_per_association=9, addresses=9, shortest_life=1
)
SIZES = (100, 1_000, 10_000, 100_000)
SPARE = 1000
"""Spare elements to register and deregister. By default, a run has at most as many calls."""
POLICIES = {
    "RR": e.RR,
    "WRR": e.WRR,
    "RAND": e.RAND,
    "WRAND": e.WRAND,
    "PRIO": e.PRIO,
    "LU": e.LU,
    "LUD": e.LUD,
    "PLU": e.PLU,
    "RLU": e.RLU,
    "RPLU": e.RPLU,
    "RLUD": e.RLUD,
    "PLUD": e.PLUD,
    "RPLUD": e.RPLUD,
    "WRAND-DPF": e.WRAND_DPF,
    "LU-DPF": e.LU_DPF,
    "LUD-DPF": e.LUD_DPF,
    "PLU-DPF": e.PLU_DPF,
    "PLUD-DPF": e.PLUD_DPF,
}
COUNTED = {"RR", "WRR", "RAND", "WRAND", "PRIO", "LU", "LUD", "PLU", "RLU"}
"""Policies whose instructions are counted: those of RFC 5356."""


def elements(kind: int, identifiers: list[int], draw: random.Random, asap: bytes | None) -> list[bytes]:
    """Pool Element parameters with random policy values."""
    template = e.element(0, kind, (0,) * e.WORDS[kind], asap=asap)
    at = 16 + len(e.sctp()) + 8
    end = at + 4 * e.WORDS[kind]
    before, between, behind = template[:4], template[8:at], template[end:]
    return [
        before + identifier.to_bytes(4, "big") + between + draw.randbytes(end - at) + behind
        for identifier in identifiers
    ]


class Pool:
    """A handlespace with one pool of ``size`` elements, and ``spare`` elements outside it."""

    def __init__(self, policy: str, size: int, spare: int) -> None:
        self.kind, self.size = POLICIES[policy], size
        self.draw = random.Random(1)
        self.identifiers = self.draw.sample(range(1, 2**32), size + spare)
        self.space = Handlespace(OWN, seed=1, wheel=Wheel(NOW))
        octets = elements(self.kind, self.identifiers, self.draw, e.sctp(9))
        for connection, element in enumerate(octets[:size], 1):
            self.space.register(HANDLE, element, home=OWN, connection=connection)
        self.spare = list(zip(self.identifiers[size:], octets[size:], strict=True))
        self.known = self.draw.choices(range(size), k=spare)

    def renewed(self, asap: bytes | None) -> list[bytes]:
        """Return elements of the pool with other policy values."""
        return elements(self.kind, [self.identifiers[number] for number in self.known], self.draw, asap)


@lru_cache(maxsize=1)
def pool(policy: str, size: int, spare: int = SPARE) -> Pool:
    return Pool(policy, size, spare)


class Register(Subject):
    def __init__(self, policy: str, size: int, spare: int = SPARE) -> None:
        self.pool = pool(policy, size, spare)

    def run(self, calls: int) -> None:
        register = self.pool.space.register
        for connection, (_, element) in enumerate(self.pool.spare[:calls], 1):
            register(HANDLE, element, home=OWN, connection=connection)

    def clean(self, calls: int) -> None:
        for identifier, _ in self.pool.spare[:calls]:
            self.pool.space.remove(HANDLE, identifier)


class Deregister(Register):
    def prepare(self, calls: int) -> None:
        super().run(calls)

    def run(self, calls: int) -> None:
        super().clean(calls)

    def clean(self, calls: int) -> None:
        pass


class Reregister(Subject):
    def __init__(self, policy: str, size: int, spare: int = SPARE) -> None:
        subject = pool(policy, size, spare)
        self.space = subject.space
        self.work = list(zip(subject.renewed(e.sctp(9)), (number + 1 for number in subject.known), strict=True))

    def run(self, calls: int) -> None:
        register = self.space.register
        for element, connection in self.work[:calls]:
            register(HANDLE, element, home=OWN, connection=connection)


class Resolve(Subject):
    def __init__(self, items: int, policy: str, size: int) -> None:
        self.space, self.items = pool(policy, size).space, items

    def run(self, calls: int) -> None:
        resolution, items = self.space.resolution, self.items
        for _ in range(calls):
            resolution(HANDLE, items)


class Table(Subject):
    """One part of the handle table, as a response carries it."""

    def __init__(self, policy: str, size: int) -> None:
        self.space = pool(policy, size).space

    def run(self, calls: int) -> None:
        table = self.space.table
        for _ in range(calls):
            table(True, None, 65000, 50)


def lane_of(context: LaneContext, number: int) -> FastLane:
    """Return the lane of an association that accepts no new registrations and whose rates no bench reaches."""
    rates = (Bucket(PLENTY, PLENTY, 0), Bucket(PLENTY, PLENTY, 0))
    return FastLane(context, number, Registrant(b"", b""), *rates, set())


class Lane(Subject):
    """Serve one kind of message, from received octets to answered octets."""

    def __init__(self, messages: Callable[[Pool], list[bytes]], policy: str, size: int) -> None:
        subject = pool(policy, size)
        self.space = subject.space
        context = LaneContext(self.space, LIMITS, set(), {})
        answers = [lane_of(context, number + 1).answer for number in subject.known]
        self.work = list(zip(messages(subject), answers, strict=True))
        if any(answer(message, NOW) is None for message, answer in self.work[:9]):
            raise AssertionError("the fast lane does not serve this")

    def run(self, calls: int) -> None:
        for message, answer in self.work[:calls]:
            answer(message, NOW)

    def clean(self, calls: int) -> None:
        self.space.updated.clear()


def resolutions(_: Pool) -> list[bytes]:
    items = e.parameter(0x803F, struct.pack(">I", 3))
    return [e.message(5, e.handle_parameter(HANDLE), items)] * SPARE


def acknowledgements(subject: Pool) -> list[bytes]:
    known = [e.identifier_parameter(subject.identifiers[number]) for number in subject.known]
    return [e.message(8, e.handle_parameter(HANDLE), identifier) for identifier in known]


def renewals(subject: Pool) -> list[bytes]:
    return [e.message(1, e.handle_parameter(HANDLE), element) for element in subject.renewed(None)]


OPERATIONS: dict[str, Callable[[str, int], Subject]] = {
    "register": Register,
    "re-register": Reregister,
    "deregister": Deregister,
    "resolve 1": partial(Resolve, 1),
    "resolve 3": partial(Resolve, 3),
    "resolve 5": partial(Resolve, 5),
}
TABLES: dict[str, Callable[[str, int], Subject]] = {"table of 50": Table}
LANES: dict[str, Callable[[str, int], Subject]] = {
    "lane: resolution": partial(Lane, resolutions),
    "lane: acknowledgement": partial(Lane, acknowledgements),
    "lane: re-registration": partial(Lane, renewals),
}
CASES = [
    Case(
        name=f"{operation}, {policy}, {size}",
        make=partial(make, policy, size),
        instr=size < 100_000 and policy in COUNTED,
    )
    for policy in POLICIES
    for size in SIZES
    for operation, make in {
        **OPERATIONS,
        **(LANES if policy in ("LU", "RLU") else {}),
        **(TABLES if policy == "LU" and size == 10_000 else {}),
    }.items()
]
