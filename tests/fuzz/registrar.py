"""Fuzzing of the registrar's state machine: ``python -m tests.fuzz.registrar --count 1000000 --seed 1``.

Hostile and honest messages, lost associations and passing time, in any order: nothing is raised, every answer is a
message, every bound holds, nothing takes long and nothing piles up.
"""

import argparse
import random
import sys
import time
from collections import Counter
from ipaddress import ip_address
from itertools import islice

from rserpool._fast.handlespace import Handlespace
from rserpool._fast.wheel import Wheel
from rserpool.limits import Limits
from rserpool.messages import (
    Deregistration,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    HandleResolution,
    Message,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    SCTPTransport,
    decode,
)
from rserpool.profile import PROFILES
from rserpool.protocol.actions import Abort, Action, Announce, Send
from rserpool.protocol.asap import AsapRegistrar
from rserpool.protocol.association import Peer
from rserpool.settings import Settings
from tests.fuzz.growth import Growth, resident
from tests.fuzz.mutate import Mutator

OWN = 0x22222222
HOSTS = tuple(
    ip_address(text) for text in ("10.44.0.1", "10.44.0.2", "10.44.0.3", "10.1.2.3", "2001:db8::1", "fd44::2")
)
LIMITS = Limits(associations=40, elements_per_association=20, elements_per_pool=50, pools=60, subscriptions=5)
SLOW = 0.05
"""Seconds of processor time that no event may take."""
CHECKED = 500
"""Events between two looks at every record of the handlespace."""


class Attack:
    """One registrar under fire; deterministic from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        profile = self.random.choice(tuple(PROFILES.values()))
        self.now = 0
        wheel = Wheel(0)
        self.space = Handlespace(OWN, seed=seed & 0xFFFFFFFF, wheel=wheel)
        settings = Settings(identifier=OWN, profile=profile, limits=LIMITS)
        self.registrar = AsapRegistrar(settings, self.space, wheel, self.random)
        self.registrar.start(0, HOSTS, 3863, HOSTS, 3863)
        self.live: list[int] = []
        self.number = 0
        self.outcomes: Counter[str] = Counter()

    def event(self, octets: bytes) -> None:
        """One event: mostly a message."""
        draw = self.random.random()
        if draw < 0.01 or not self.live:
            self.associate()
        elif draw < 0.015:
            self.lose(self.random.choice(self.live))
        elif draw < 0.02:
            self.now += round(10 ** self.random.uniform(2, 7.5))
            for due in self.space.expire(self.now):
                self.carry_out(self.registrar.due(*due, self.now) if isinstance(due, tuple) else due(self.now))
        else:
            number = self.random.choice(self.live)
            data = octets if draw < 0.5 else self.honest(number).encode()
            self.now += self.random.randrange(20_000)
            self.carry_out(self.registrar.received(number, data, self.now))

    def honest(self, number: int) -> Message:
        """What an element or a user might well send now."""
        mine = self.space.connected(number)
        handle, identifier = self.random.choice(mine) if mine and self.random.random() < 0.5 else self.anyone()
        match self.random.randrange(10):
            case 0 | 1 | 2:
                return self.registration(number, handle, identifier)
            case 3:
                return Deregistration(pool_handle=handle, pe_identifier=identifier)
            case 4 | 5:
                return HandleResolution(pool_handle=handle, subscribe=self.random.random() < 0.5, items=None)
            case 6:
                return EndpointUnreachable(pool_handle=handle, pe_identifier=identifier)
            case _:
                return EndpointKeepAliveAck(pool_handle=handle, pe_identifier=identifier)

    def anyone(self) -> tuple[bytes, int]:
        return b"Pool%d" % self.random.randrange(80), self.random.randint(1, 200)

    def registration(self, number: int, handle: bytes, identifier: int) -> Registration:
        peer = self.registrar.associations.get(number)
        address = self.random.choice(peer.peer.addresses if peer else HOSTS)
        load = Policy(policy_type=PolicyType.LEAST_USED, values=(self.random.getrandbits(32),))
        turn = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
        element = PoolElement(
            identifier=identifier,
            home_identifier=0,
            registration_life=self.random.choice((-1, 3, 5000, 300_000)),
            user_transport=SCTPTransport(port=7, addresses=(address,)),
            policy=turn if len(handle) % 2 else load,
        )
        return Registration(pool_handle=handle, pool_element=element)

    def associate(self) -> None:
        self.number += 1
        addresses = tuple(self.random.sample(HOSTS, self.random.randint(1, len(HOSTS))))
        peer = Peer(addresses=addresses, port=17777, sctp=self.random.random() < 0.9, round_trip=lambda: 0.1)
        self.live.append(self.number)
        self.carry_out(self.registrar.associated(self.number, peer, self.now))

    def lose(self, number: int) -> None:
        self.live.remove(number)
        self.carry_out(self.registrar.lost(number, self.now))
        assert self.space.connected(number) == []

    def carry_out(self, actions: list[Action]) -> None:
        known = set(self.live)
        for action in actions:
            self.outcomes[type(action).__name__] += 1
            match action:
                case Send(number, data):
                    assert number in known
                    self.outcomes[type(decode(data, "asap")).__name__] += 1
                case Announce(data):
                    decode(data, "asap")
                case Abort(number) if number in self.live:
                    self.lose(number)

    def check(self) -> None:
        """Every bound and every record."""
        self.space._check()
        associations = self.registrar.associations.values()
        assert len(associations) <= LIMITS.associations
        assert self.space.pool_count <= LIMITS.pools
        assert all(pool.size <= LIMITS.elements_per_pool for pool in self.space.pools())
        for one in associations:
            assert one.elements == len(self.space.connected(one.number)) <= LIMITS.elements_per_association
            assert len(one.subscriptions) <= LIMITS.subscriptions
        assert len(self.space) == sum(one.elements for one in associations)


def run(count: int, seed: int) -> Counter[str]:
    """So many events; how often each outcome came up."""
    growth = Growth(count)
    attack = Attack(seed)
    messages = (octets for protocol, octets in Mutator(seed).messages() if protocol == "asap")
    for number, octets in enumerate(islice(messages, count)):
        growth.seen(number)
        begin = time.thread_time()
        try:
            attack.event(octets)
            if number % CHECKED == 0:
                attack.check()
                begin = time.thread_time()
            assert time.thread_time() - begin < SLOW
        except Exception as error:
            raise AssertionError(f"seed {seed}, event {number}: {octets[:200].hex()}") from error
    attack.check()
    growth.check()
    return attack.outcomes + attack.registrar.counters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"{arguments.count} events, seed {arguments.seed}", flush=True)
    begin = time.perf_counter()
    for outcome, times in run(arguments.count, arguments.seed).most_common():
        print(f"{times:9} {outcome}")
    print(f"{time.perf_counter() - begin:.1f} s, {resident() >> 20} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
