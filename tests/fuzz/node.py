"""Fuzzing of a client node with elements and a user, by hostile registrars, strangers and announcements.

    python -m tests.fuzz.node --count 1000000

Honest answers are mixed in, so that elements and resolutions make progress. No exception is raised, no event takes
long, every bound holds, sent messages decode and go to permitted addresses, and memory does not grow. A stopped node
retains nothing.
"""

import random
import time
from collections import Counter
from itertools import islice

from rserpool.errors import Cause
from rserpool.messages import (
    AsapError,
    DeregistrationResponse,
    EndpointKeepAlive,
    ErrorCause,
    HandleResolutionResponse,
    Message,
    Policy,
    PolicyType,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    ServerAnnounce,
    decode,
)
from rserpool.protocol.actions import Abort, Send, Shutdown
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.protocol.client.element import Element
from rserpool.protocol.client.events import ElementState, ElementStatus, PoolChanged, Resolution
from rserpool.protocol.client.hunt import AT_ONCE
from rserpool.protocol.client.link import Stage
from rserpool.protocol.client.node import Node
from rserpool.protocol.peer import Peer
from rserpool.settings.client import ClientSettings
from tests.fuzz.command import command
from tests.fuzz.growth import Growth
from tests.fuzz.mutate import Mutator
from tests.fuzz.registrar import CHECKED, HOSTS, SLOW
from tests.support.client_bench import listed

SETTINGS = ClientSettings(
    candidates=12, incoming=3, pools_cached=10, requests=20, stale_cache=1.0, report_rate=3.0, announcement_rate=1000.0
)
ELEMENTS = 8
POOLS = tuple(b"Pool%d" % number for number in range(16))
CODES = (*Cause, 0xF00D)


class Attack:
    """One node under attack, deterministic for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1
        registrars = [ServerAddress(addresses=(host,), port=3863) for host in HOSTS[:2]]
        registrars.append(ServerAddress(addresses=(HOSTS[2],), port=3863, sctp=False))
        self.node = Node(SETTINGS, self.random, self.now, registrars, tcp=True)
        self.dialled: dict[int, Dial] = {}
        self.up: set[int] = set()
        self.elements: list[Element] = []
        self.tickets: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.carry_out(self.node.start(self.now))

    def event(self, octets: bytes) -> None:
        """Apply one random event, mostly a message."""
        draw = self.random.random()
        self.now += self.random.randrange(20_000)
        if draw < 0.02:
            self.associate()
        elif draw < 0.025 and self.up:
            self.end(self.random.choice(sorted(self.up)))
        elif draw < 0.035:
            self.now += round(10 ** self.random.uniform(2, 7.5))
            self.carry_out(self.node.advance(self.now))
        elif draw < 0.06:
            self.carry_out(self.node.announced(self.announcement(octets), self.random.choice(HOSTS), 3863, self.now))
        elif draw < 0.2:
            self.application()
        elif self.up:
            number = self.random.choice(sorted(self.up))
            hostile = draw < 0.5
            if self.node.context.home is not None and self.random.random() < (0.02 if hostile else 0.9):
                number = self.node.context.home.number
            data = octets if hostile else self.honest().encode()
            self.carry_out(self.node.received(number, data, self.now))

    def announcement(self, octets: bytes) -> bytes:
        if self.random.random() < 0.5:
            return octets
        address = self.random.choice(HOSTS)
        transport = SCTPTransport(port=self.random.randint(1, 65535), addresses=(address,))
        return ServerAnnounce(server_identifier=self.random.getrandbits(32), transports=(transport,)).encode()

    def application(self) -> None:
        """Make a random call of the application."""
        user = self.node.user
        pool = self.random.choice(POOLS)
        match self.random.randrange(9):
            case 0 | 1:
                self.tickets.add(user.resolve(pool, self.now, self.random.choice((1, 5, 0xFFFFFFFF))))
            case 2:
                user.watch(pool, self.now, self.random.uniform(0.1, 10))
            case 3:
                user.unwatch(pool, self.now)
            case 4:
                chosen = user.select(pool, self.random.sample(range(40), 3))
                self.outcomes["selected"] += chosen is not None
            case 5:
                self.outcomes["reported"] += user.report(pool, self.random.randint(1, 40), self.now)
            case 6 if self.tickets:
                user.cancel(self.tickets.pop())
            case 7 if len(self.elements) < ELEMENTS:
                transport = SCTPTransport(port=7, addresses=(self.random.choice(HOSTS),))
                policy = Policy(policy_type=PolicyType.LEAST_USED, values=(0,))
                made = self.node.add(pool, transport, policy, life=self.random.choice((1.0, 30.0, 300.0)))
                self.elements.append(made)
                made.start(self.now)
            case _ if self.elements:
                self.disturb(self.random.choice(self.elements))
        self.carry_out(self.node.drain())

    def disturb(self, element: Element) -> None:
        draw = self.random.random()
        if draw < 0.7:
            load = Policy(policy_type=PolicyType.LEAST_USED, values=(self.random.getrandbits(32),))
            element.change(self.now, policy=load)
        elif draw < 0.75:
            element.deregister(self.now)
        elif draw < 0.95:
            element.start(self.now)
        else:
            self.node.remove(element)
            self.elements.remove(element)

    def honest(self) -> Message:
        """Build a message that a real registrar might send now."""
        pool, identifier = self.random.choice(POOLS), self.random.randint(1, 40)
        if self.elements and self.random.random() < 0.7:
            element = self.random.choice(self.elements)
            pool, identifier = element.pool_handle, element.identifier
        causes = (ErrorCause(code=self.random.choice(CODES)),) if self.random.random() < 0.2 else ()
        match self.random.randrange(10):
            case 0 | 1 | 2:
                reject = bool(causes) and self.random.random() < 0.9
                return RegistrationResponse(
                    reject=reject, pool_handle=pool, pe_identifier=identifier, operation_error=causes
                )
            case 3:
                return DeregistrationResponse(pool_handle=pool, pe_identifier=identifier, operation_error=causes)
            case 4 if self.random.random() < 0.1:
                return AsapError(operation_error=causes or (ErrorCause(code=0),))
            case 5:
                home = self.random.random() < 0.3
                which = self.random.choice((None, identifier))
                server = self.random.randint(1, 3)
                return EndpointKeepAlive(home=home, server_identifier=server, pool_handle=pool, pe_identifier=which)
            case _:
                pool = self.random.choice(POOLS)
                found = () if causes else tuple(listed(self.random.randint(1, 40)) for _ in range(3))
                subscribed = self.random.random() < 0.5
                return HandleResolutionResponse(
                    accept_subscription=subscribed, pool_handle=pool, pool_elements=found, operation_error=causes
                )

    def associate(self) -> None:
        """Let a dialled registrar accept or refuse, or let a stranger connect."""
        if self.dialled and self.random.random() < 0.8:
            number, dial = self.dialled.popitem()
            if self.random.random() < 0.3:
                self.carry_out(self.node.down(number, self.now))
                return
            addresses, port, sctp = dial.addresses, dial.port, dial.sctp
        else:
            number, sctp = self.node.number(), True
            addresses, port = (self.random.choice(HOSTS),), self.random.choice((3863, 9))
        self.up.add(number)
        self.carry_out(self.node.up(number, Peer(addresses=addresses, port=port, sctp=sctp), self.now))

    def end(self, number: int) -> None:
        self.up.discard(number)
        self.dialled.pop(number, None)
        self.carry_out(self.node.down(number, self.now))

    def carry_out(self, actions: list[Action]) -> None:
        ended = []
        for action in actions:
            self.outcomes[type(action).__name__] += 1
            match action:
                case Send(number, data):
                    assert number in self.up
                    message = decode(data, "asap")
                    self.outcomes[type(message).__name__] += 1
                    link = self.node.context.links.get(number)
                    if isinstance(message, Registration) and link is not None:
                        assert link.peer is not None
                        assert link.peer.sctp
                case Dial(number):
                    self.dialled[number] = action
                case Abort(number) | Shutdown(number):
                    ended.append(number)
                case Publish(event):
                    self.count_event(event)
        for number in ended:
            self.end(number)

    def count_event(self, event: object) -> None:
        match event:
            case Resolution(ticket=ticket):
                assert ticket not in self.outcomes
                self.tickets.discard(ticket)
                self.outcomes["answers" if event.failure is None else event.failure.value] += 1
            case PoolChanged():
                self.outcomes["changes"] += 1
            case ElementStatus(state=state):
                self.outcomes[f"element {state.value}"] += 1

    def check(self) -> None:
        """Check all bounds and invariants."""
        node = self.node
        context = node.context
        strangers = [link for link in context.links.values() if link.candidate is None]
        assert len(strangers) <= 2 * SETTINGS.incoming + 1
        assert len(context.links) - len(strangers) <= AT_ONCE
        assert len(context.candidates) <= SETTINGS.candidates + 3
        assert len(node.user._cache) <= SETTINGS.pools_cached
        assert len(node.user._waiting) <= SETTINGS.requests
        assert len(node.user._queries) <= len(POOLS)
        assert len(context.wheel) <= 5 + len(node.elements) + 2 * len(POOLS)
        assert len(context.requests) <= len(node.elements) + len(POOLS)
        home = context.home
        assert home is None or (home.number in context.links and home.stage is Stage.UP)
        for element in node.elements.values():
            waits = element._timer is not None and element._timer.armed
            assert waits or home is None or element.state in (ElementState.IDLE, ElementState.REFUSED)
            assert not element.registered or home is not None


def run(count: int, seed: int) -> Counter[str]:
    """Apply ``count`` events; returns how often each outcome occurred."""
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
    attack.carry_out(attack.node.stop(attack.now))
    assert len(attack.node.context.wheel) == 0
    return attack.outcomes + attack.node.context.counters


if __name__ == "__main__":
    command(run, __doc__)
