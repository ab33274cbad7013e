"""Fuzzing of the registrar's state machine: ``python -m tests.fuzz.registrar --count 1000000 --seed 1``.

Hostile and honest messages, lost associations and passing time, in any order. No exception is raised, every answer is a
valid message, every bound holds, no event takes long, and memory does not grow.
"""

import random
import time
from collections import Counter, deque
from dataclasses import replace
from ipaddress import ip_address
from itertools import islice

from rserpool._fast.lane.prefetch import prefetch_all
from rserpool.messages import (
    Deregistration,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    EnrpMessage,
    HandleResolution,
    HandleTableRequest,
    HandleTableResponse,
    HandleUpdate,
    InitTakeover,
    InitTakeoverAck,
    Message,
    Policy,
    PolicyType,
    PoolElement,
    PoolEntry,
    Presence,
    Registration,
    SCTPTransport,
    TakeoverServer,
    decode,
)
from rserpool.protocol.actions import Abort, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Connect, Protocol, SendRow
from rserpool.protocol.registrar.registrar import Reachable, Registrar
from rserpool.settings.limits import Limits
from rserpool.settings.profile import PROFILES
from rserpool.settings.registrar import Settings
from tests.fuzz.command import command
from tests.fuzz.growth import Growth
from tests.fuzz.mutate import Mutator

OWN = 0x22222222
HOSTS = tuple(
    ip_address(text) for text in ("10.44.0.1", "10.44.0.2", "10.44.0.3", "10.1.2.3", "2001:db8::1", "fd44::2")
)
LIMITS = Limits(
    associations=40,
    elements_per_association=20,
    elements_per_pool=50,
    pools=60,
    subscriptions=5,
    peers=8,
    elements_per_peer=30,
)
SLOW = 2.0
"""Processor time limit for one event, in seconds: a thousand times the expected time."""
CHECKED = 500
"""Events between two complete checks of the handlespace."""


class Attack:
    """One registrar under attack, deterministic for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        profile = self.random.choice(tuple(PROFILES.values()))
        self.now = 0
        settings = Settings(identifier=OWN, profile=profile, limits=LIMITS)
        self.registrar = Registrar(settings, self.random, seed=seed & 0xFFFFFFFF, now=0)
        self.space = self.registrar.handlespace
        self.space.large = 0
        self.recent: deque[bytes] = deque(maxlen=8)
        self.live: dict[int, Protocol] = {}
        self.number = 0
        self.outcomes: Counter[str] = Counter()
        here = Reachable(sctp=HOSTS, port=3863, tcp=HOSTS)
        self.carry_out(self.registrar.start(0, here, replace(here, port=9901)))

    def event(self, protocol: str, octets: bytes) -> None:
        """Apply one random event, mostly a message."""
        draw = self.random.random()
        of_kind = [number for number, one in self.live.items() if one.name.lower() == protocol]
        if draw < 0.01 or not of_kind:
            self.associate(Protocol[protocol.upper()])
        elif draw < 0.015:
            self.lose(self.random.choice(of_kind))
        elif draw < 0.02:
            self.now += round(10 ** self.random.uniform(2, 7.5))
            self.carry_out(self.registrar.advance(self.now))
        elif draw < 0.025:
            self.carry_out(self.registrar.presence_heard(octets, self.random.choice(HOSTS), 9901, self.now))
            self.registrar.announcement_heard(octets, self.now)
        else:
            number = self.random.choice(of_kind)
            self.now += self.random.randrange(20_000)
            message = self.message(protocol, number, octets, draw)
            self.recent.append(message)
            prefetch_all(self.space, list(self.recent))
            self.carry_out(self.registrar.received(number, message, self.now))

    def message(self, protocol: str, number: int, octets: bytes, draw: float) -> bytes:
        """Return the hostile message, or an honest one. A hostile ENRP message mostly names its real sender."""
        if protocol == "enrp":
            link = self.registrar.enrp.links.get(number)
            sender = link.peer.identifier if link is not None and link.peer is not None else 1000 + number
            if draw < 0.4:
                return self.honest_peer(sender).encode()
            named = draw < 0.9 and len(octets) >= 12
            return octets[:4] + sender.to_bytes(4, "big") + bytes(4) + octets[12:] if named else octets
        return octets if draw < 0.5 else self.honest(number).encode()

    def honest(self, number: int) -> Message:
        """Build a message that a real element or user might send now."""
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

    def honest_peer(self, sender: int) -> EnrpMessage:
        """Build a message that a real peer registrar might send now."""
        handle, identifier = self.anyone()
        element = replace(
            self.registration(0, handle, identifier).pool_element,
            home_identifier=sender,
            asap_transport=SCTPTransport(port=17777, addresses=(self.random.choice(HOSTS),)),
        )
        ids = {"sender_identifier": sender, "receiver_identifier": 0}
        target = self.random.choice((OWN, *self.registrar.enrp.peers, 77))
        match self.random.randrange(9):
            case 0 | 1 | 2:
                action = self.random.randrange(3) // 2
                return HandleUpdate(**ids, update_action=action, pool_handle=handle, pool_element=element)
            case 3:
                return Presence(**ids, reply_required=True, pe_checksum=self.random.choice((0xFFFF, 7)))
            case 4 | 5:
                entry = PoolEntry(pool_handle=handle, pool_elements=(element,))
                return HandleTableResponse(**ids, more=self.random.random() < 0.5, pool_entries=(entry,))
            case 6:
                return HandleTableRequest(**ids, own_only=self.random.random() < 0.5)
            case 7:
                return InitTakeover(**ids, target_identifier=target)
            case _:
                kind = self.random.choice((InitTakeoverAck, TakeoverServer))
                return kind(**ids, target_identifier=target)

    def anyone(self) -> tuple[bytes, int]:
        return b"Pool%d" % self.random.randrange(80), self.random.randint(1, 200)

    def registration(self, number: int, handle: bytes, identifier: int) -> Registration:
        peer = self.registrar.context.associations.get(number)
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

    def associate(self, protocol: Protocol, call: Connect | None = None) -> None:
        self.number += 1
        addresses = (
            tuple(self.random.sample(HOSTS, self.random.randint(1, len(HOSTS)))) if call is None else call.addresses
        )
        sctp = protocol is Protocol.ENRP or self.random.random() < 0.9
        port = 17777 if call is None else call.port
        peer = Peer(addresses=addresses, port=port, sctp=sctp, round_trip=lambda: 0.1)
        self.live[self.number] = protocol
        self.carry_out(self.registrar.associated(self.number, protocol, peer, self.now))

    def lose(self, number: int) -> None:
        del self.live[number]
        self.carry_out(self.registrar.lost(number, self.now))
        assert self.space.connected(number) == []

    def carry_out(self, actions: list[Action]) -> None:
        known = dict(self.live)
        for action in actions:
            self.outcomes[type(action).__name__] += 1
            match action:
                case Send(number, data):
                    protocol = known[number].name.lower()
                    self.outcomes[type(decode(data, protocol)).__name__] += 1  # type: ignore[arg-type]
                case SendRow(number, messages):
                    assert known[number] is Protocol.ASAP
                    self.outcomes.update(type(decode(data, "asap")).__name__ for data in messages)
                case Announce(data):
                    decode(data, "asap")
                case AnnouncePresence(data):
                    decode(data, "enrp")
                case Connect(protocol=called) if self.random.random() < 0.7:
                    self.associate(called, action)
                case Connect(called, addresses, port):
                    self.carry_out(self.registrar.unreachable(called, addresses, port, self.now))
                case Abort(number) if number in self.live:
                    self.lose(number)

    def check(self) -> None:
        """Check all bounds and all records."""
        self.space._check()
        associations = self.registrar.context.associations.values()
        assert len(associations) <= LIMITS.associations
        assert self.space.pool_count <= LIMITS.pools
        assert len(self.registrar.enrp.peers) <= LIMITS.peers
        for one in associations:
            assert one.registrant.elements == len(self.space.connected(one.number))
            assert len(one.subscriptions) <= LIMITS.subscriptions


def run(count: int, seed: int) -> Counter[str]:
    """Apply ``count`` events; returns how often each outcome occurred."""
    growth = Growth(count)
    attack = Attack(seed)
    for number, (protocol, octets) in enumerate(islice(Mutator(seed).messages(), count)):
        growth.seen(number)
        begin = time.thread_time()
        try:
            attack.event(protocol, octets)
            if number % CHECKED == 0:
                attack.check()
                begin = time.thread_time()
            assert time.thread_time() - begin < SLOW
        except Exception as error:
            raise AssertionError(f"seed {seed}, event {number}: {protocol} {octets[:200].hex()}") from error
    attack.check()
    growth.check()
    return attack.outcomes + Counter(attack.registrar.counters)


if __name__ == "__main__":
    command(run, __doc__)
