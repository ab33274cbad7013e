"""A handlespace in plain Python, written from the RFCs and obviously right rather than fast."""

from dataclasses import dataclass, field
from fractions import Fraction

from sortedcontainers import SortedDict

from tests.support import elements as e

MOST_64 = 2**64 - 1
HIGHEST = 0xFFFFFFFF
RANDOM_POLICIES = {e.RAND, e.WRAND, e.RLU, e.RPLU, e.RLUD, e.RPLUD, e.WRAND_DPF}
DEGRADING = {e.LUD, e.PLUD, e.LUD_DPF, e.PLUD_DPF, e.RLUD, e.RPLUD}


@dataclass
class Element:
    """One pool element with all of the registrar's data about it."""

    identifier: int
    kind: int
    values: tuple[int, ...]
    life: int
    user: bytes
    asap: bytes | None
    home: int
    connection: int
    stamp: int
    turn: Fraction = Fraction(0)
    counter: int = 0
    bad_reports: int = 0
    marked: bool = False
    probed: bool = False
    timers: dict[int, int] = field(default_factory=dict)

    def encoded(self, with_asap: bool = True) -> bytes:
        asap = self.asap if with_asap else None
        return e.element(
            self.identifier, self.kind, self.values, home=self.home, life=self.life, user=self.user, asap=asap
        )


@dataclass
class Pool:
    """One pool, with its elements by identifier."""

    handle: bytes
    kind: int
    transport_type: int
    transport_use: int
    serial: int
    elements: SortedDict = field(default_factory=SortedDict)


def place(element: Element) -> int:
    """Sort key of the sorted policies; the smallest comes first."""
    kind, values, used = element.kind, element.values, element.counter
    match kind:
        case e.RR:
            value = 0
        case e.PRIO:
            value = HIGHEST - values[0]
        case e.LU:
            value = values[0]
        case e.LUD:
            value = values[0] + used * values[1]
        case e.PLU:
            value = values[0] + values[1]
        case e.PLUD:
            value = values[0] + values[1] + used * values[1]
        case e.LU_DPF:
            value = values[0] + values[1] * values[2]
        case e.LUD_DPF:
            value = values[0] + used * values[1] + values[2] * values[3]
        case e.PLU_DPF:
            value = values[0] + values[1] + values[2] * values[3]
        case e.PLUD_DPF:
            value = values[0] + values[1] + used * values[1] + values[2] * values[3]
        case _:
            value = 0
    return min(value, MOST_64)


def weight(element: Element) -> int:
    """Weight of an element under the randomised policies."""
    kind, values, used = element.kind, element.values, element.counter
    match kind:
        case e.RAND:
            return 1
        case e.WRAND:
            return values[0]
        case e.RLU:
            return HIGHEST - values[0]
        case e.RPLU:
            return max(1, HIGHEST - values[0] - values[1])
        case e.RLUD:
            return max(1, HIGHEST - values[0] - used * values[1])
        case e.RPLUD:
            return max(1, HIGHEST - values[0] - values[1] - used * values[1])
        case e.WRAND_DPF:
            lost = round(Fraction(values[0] * values[1] * values[2], HIGHEST))
            return max(1, values[0] - lost) if values[0] else 0
    raise AssertionError(kind)


def next_turn(element: Element, at_least: Fraction) -> Fraction:
    """Weighted round robin: the first of the turns n + (2c + 1) / 2w that is not before ``at_least``."""
    step = Fraction(1, element.values[0])
    passed = at_least / step - Fraction(1, 2)
    return (max(0, -(-passed.numerator // passed.denominator)) + Fraction(1, 2)) * step


class Handlespace:
    """The reference. Nothing is incremental: every answer is computed from all elements."""

    def __init__(self, identifier: int) -> None:
        self.identifier = identifier
        self.pools: dict[bytes, Pool] = {}
        self.stamps = 0
        self.serials = 0

    def stamp(self) -> int:
        self.stamps += 1
        return self.stamps

    def every(self) -> list[tuple[Pool, Element]]:
        pools = sorted(self.pools.values(), key=lambda pool: (len(pool.handle), pool.handle))
        return [(pool, element) for pool in pools for element in pool.elements.values()]

    def by_creation(self, home: int) -> list[tuple[bytes, int]]:
        owned = [(pool.serial, el.identifier, pool.handle) for pool, el in self.every() if el.home == home]
        return [(handle, identifier) for _, identifier, handle in sorted(owned)]

    def find(self, handle: bytes, identifier: int) -> Element | None:
        pool = self.pools.get(handle)
        return pool.elements.get(identifier) if pool else None

    def register(self, handle: bytes, new: Element) -> str:
        transport_type = int.from_bytes(new.user[:2], "big")
        transport_use = int.from_bytes(new.user[6:8], "big") if transport_type == 4 else 0
        pool = self.pools.get(handle)
        if pool is None:
            self.serials += 1
            pool = self.pools[handle] = Pool(handle, new.kind, transport_type, transport_use, self.serials)
        elif pool.transport_type != transport_type:
            return "INCONSISTENT_TRANSPORT"
        elif pool.transport_use != transport_use:
            return "INCONSISTENT_USE"
        elif pool.kind != new.kind:
            return "INCONSISTENT_POLICY"
        old = pool.elements.get(new.identifier)
        new.stamp = self.stamp()
        if old is not None:
            new.stamp, new.probed, new.timers, new.turn = old.stamp, old.probed, old.timers, old.turn
        if new.kind == e.WRR and (old is None or old.values != new.values):
            pool.elements.pop(new.identifier, None)
            new.stamp = self.stamp()
            if new.values[0]:
                turns = [el.turn for el in pool.elements.values() if el.values[0]]
                new.turn = next_turn(new, min(turns, default=Fraction(0)))
        pool.elements[new.identifier] = new
        return "ADDED" if old is None else "UPDATED"

    def remove(self, handle: bytes, identifier: int) -> bool:
        pool = self.pools.get(handle)
        if pool is None or pool.elements.pop(identifier, None) is None:
            return False
        if not pool.elements:
            del self.pools[handle]
        return True

    def candidates(self, handle: bytes) -> list[Element]:
        """Random policies: the elements that may be listed."""
        found = list(self.pools[handle].elements.values())
        return [el for el in found if weight(el)] or found

    def order(self, handle: bytes) -> list[Element]:
        """Other policies: the elements that may be listed, in order."""
        pool = self.pools[handle]
        found = list(pool.elements.values())
        if pool.kind != e.WRR:
            return sorted(found, key=lambda el: (place(el), el.stamp))
        serving = [el for el in found if el.values[0]]
        if serving:
            return sorted(serving, key=lambda el: (el.turn, el.identifier))
        return sorted(found, key=lambda el: el.stamp)

    def use(self, handle: bytes, head: int) -> None:
        """Record that the first element of an answer was used."""
        element = self.pools[handle].elements[head]
        if element.kind in DEGRADING:
            element.counter += 1
        if element.kind == e.WRR and element.values[0]:
            element.turn += Fraction(1, element.values[0])
        elif element.kind not in RANDOM_POLICIES:
            element.stamp = self.stamp()

    def response(self, handle: bytes, listed: list[int], accept: bool) -> bytes:
        """Build ASAP_HANDLE_RESOLUTION_RESPONSE (RFC 5352 2.2.6)."""
        found = [self.pools[handle].elements[identifier] for identifier in listed]
        parts = [e.handle_parameter(handle), e.policy(found[0].kind, found[0].values)]
        parts += [el.encoded(with_asap=False) for el in found]
        return e.message(6, *parts, flags=accept)

    def checksum(self, home: int) -> int:
        """Checksum of RFC 5353 3.6.2, in a 32-bit accumulator."""
        total = 0
        for pool, element in self.every():
            if element.home == home:
                block = pool.handle + bytes(-len(pool.handle) % 4) + element.identifier.to_bytes(4, "big")
                total += sum(int.from_bytes(block[i : i + 2], "big") for i in range(0, len(block), 2))
        total %= 2**32
        while total > 0xFFFF:
            total = (total >> 16) + (total & 0xFFFF)
        return ~total & 0xFFFF

    def connected(self, connection: int) -> list[tuple[bytes, int]]:
        return sorted((pool.handle, el.identifier) for pool, el in self.every() if el.connection == connection)

    def entries(self, order: list[tuple[bytes, int]]) -> bytes:
        """Pool entries of an ENRP_HANDLE_TABLE_RESPONSE for these elements."""
        octets, last = b"", None
        for handle, identifier in order:
            if handle != last:
                octets += e.handle_parameter(handle)
            octets += self.pools[handle].elements[identifier].encoded()
            last = handle
        return octets
