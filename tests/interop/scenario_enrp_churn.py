"""Elements register, change, move and leave at three registrars, two of ours and one of rsplib's; afterwards all three
must agree.

RSERPOOL_CHURN_SECONDS and RSERPOOL_CHURN_ELEMENTS set the duration and the number of elements.
"""

import dataclasses
import os
import random
import time
from collections import Counter
from dataclasses import dataclass

from tests.interop import registrars
from tests.interop.elements import Association, Elements
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, wait_until
from tests.interop.peers import PoolUser
from tests.interop.registrars import Registrar

SECONDS = float(os.environ.get("RSERPOOL_CHURN_SECONDS") or 20)
COUNT = int(os.environ.get("RSERPOOL_CHURN_ELEMENTS") or 30)
PAUSE = 0.02
"""Seconds between two changes."""
IDENTIFIERS = (0x11111111, 0x22222222, 0x33333333)
IMPLEMENTATIONS = ("ours", "rsplib", "ours")
ROUND_ROBIN = [f"RoundRobin {number}" for number in range(4)]
WEIGHTED = [f"Weighted {number}" for number in range(4)]
POOLS = [*ROUND_ROBIN, *WEIGHTED]


@dataclass(slots=True)
class Element:
    """One element that registers and leaves repeatedly."""

    identifier: int
    pool: str
    association: Association | None = None
    weight: int = 0


class Churn:
    """The registrars on h1 to h3 and the elements on h4 and h5."""

    def __init__(self, net: Network, homes: list[Elements]) -> None:
        self.homes = homes
        # rsplib's starts first: it finds no peer and does not wait for a mentor's answer
        order = sorted(range(3), key=lambda number: IMPLEMENTATIONS[number] != "rsplib")
        started = {
            number: registrars.start(net, IMPLEMENTATIONS[number], number + 1, IDENTIFIERS[number]) for number in order
        }
        self.registrars: list[Registrar] = [started[number] for number in range(3)]
        self.users: list[PoolUser] = []
        for registrar in self.registrars:
            registrar.settle()
        self.random = random.Random(5)
        self.elements = [Element(0x1000 + number, POOLS[number % len(POOLS)]) for number in range(COUNT)]
        self.changes: Counter[str] = Counter()
        self.lost: list[str] = []

    def change(self) -> None:
        element = self.random.choice(self.elements)
        association = element.association
        if association is not None and association.lost:
            self.lost.append(f"{element.identifier:x} at {association.registrar}")
            element.association = association = None
        if association is None:
            self.come(element)
            kind = "came"
        elif self.random.random() < 0.4:
            self.register(element, association)
            kind = "changed"
        else:
            kind = self.random.choice(["left", "closed", "aborted", "moved"])
            self.go(element, association, kind)
            if kind == "moved":
                self.come(element)
        self.changes[kind] += 1

    def come(self, element: Element) -> None:
        home = self.random.choice(self.homes)
        element.association = home.associate(self.random.choice(self.registrars).asap)
        self.register(element, element.association)

    def register(self, element: Element, association: Association) -> None:
        element.weight = self.random.randint(1, 99) if element.pool in WEIGHTED else 0
        before = association.answers
        association.register(element.pool, element.identifier, element.weight)
        wait_until(
            lambda: association.answers > before or association.lost, "the answer to a registration", 10, every=0.001
        )
        if not association.granted.get((element.pool, element.identifier)):
            self.lost.append(f"{element.identifier:x} refused at {association.registrar}")

    def go(self, element: Element, association: Association, kind: str) -> None:
        if kind == "left":
            before = association.answers
            association.deregister(element.pool, element.identifier)
            wait_until(
                lambda: association.answers > before or association.lost,
                "the answer to a deregistration",
                10,
                every=0.001,
            )
        association.close(abort=kind == "aborted" or (kind == "moved" and self.random.random() < 0.5))
        element.association = None

    def missing(self) -> list[int]:
        """Homes of the registered elements that rsplib's registrar does not list."""
        listed = {pool: self.users[0].all(pool).homes for pool in POOLS}
        return [
            home
            for pool, elements in self.present().items()
            for identifier, home in elements.items()
            if int(identifier) not in listed[pool]
        ]

    def present(self) -> dict[str, dict[str, int]]:
        """By pool, the registered elements and their homes."""
        asap = {registrar.asap: registrar.identifier for registrar in self.registrars}
        found: dict[str, dict[str, int]] = {pool: {} for pool in POOLS}
        for element in self.elements:
            if element.association is not None:
                found[element.pool][str(element.identifier)] = asap[element.association.registrar]
        return found


def main() -> None:
    with Network(out_directory()) as net:
        for number in (1, 2, 3, 4, 5, 8, 9):
            net.host(number)
        with Elements(net, 4) as first, Elements(net, 5) as second:
            churn = None
            with finding("ready"):
                churn = Churn(net, [first, second])
            if churn is None:
                return
            with finding("churn") as found:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    churn.change()
                    time.sleep(PAUSE)
                found["changes"] = churn.changes
                found["lost"] = churn.lost
            with finding("rest") as found:
                # new users, because rsplib's registrar closes associations after 300 idle seconds
                churn.users = [registrar.user() for registrar in churn.registrars]
                found["agreed_after"] = registrars.wait_agreed(churn.users, POOLS, 30)
                found["missing"] = churn.missing()
            with finding("renewed") as found:
                # real elements re-register like this every few minutes
                for element in churn.elements:
                    if element.association is not None:
                        churn.register(element, element.association)
                found["agreed_after"] = registrars.wait_agreed(churn.users, POOLS, 30)
                found["expected"] = churn.present()
                found["listed"] = [{pool: user.all(pool).homes for pool in POOLS} for user in churn.users]
                found["lost"] = churn.lost
            with finding("hsdump") as found:
                found["dumps"] = [dataclasses.asdict(registrar.dump()) for registrar in churn.registrars]
            with finding("end") as found:
                found["alive"] = [registrar.program.alive() for registrar in churn.registrars]
                found["status"] = [one.program.stop() for one in churn.registrars if one.implementation == "ours"]


if __name__ == "__main__":
    main()
