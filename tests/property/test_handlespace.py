"""The handlespace against its plain-Python oracle, step by step, with all invariants checked."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from rserpool.errors import LocalProtocolError
from tests.oracle import handlespace as oracle
from tests.support import elements as e

OWN = 7
HANDLES = (b"a", b"b", b"EchoPool", b"EchoPooL", b"x" * 14, b"x" * 14 + b"1", b"x" * 14 + b"2", b"y" * 40)
handles = st.sampled_from(HANDLES)
identifiers = st.one_of(st.integers(0, 6), st.sampled_from((0xAABBCC01, 0xFFFFFFFF)))
homes = st.sampled_from((OWN, OWN, 8, 9, 0))
connections = st.sampled_from((0, 1, 2, 17, 2**64 - 1))
kinds = st.sampled_from(sorted(e.WORDS))
values = st.one_of(st.integers(0, 4), st.sampled_from((100, 0x10000000, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)))
transports = st.sampled_from((e.sctp(), e.sctp(), e.sctp(), e.sctp(addresses=3), e.sctp(use=1), e.tcp()))
small_weights = st.integers(0, 2**16)


class Comparison(RuleBasedStateMachine):
    """Applies the same steps to the handlespace and to the oracle and compares their visible state."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel = Wheel(0)
        self.real = Handlespace(OWN, seed=1, wheel=self.wheel)
        self.model = oracle.Handlespace(OWN)
        self.now = 0

    @rule(
        data=st.data(), handle=handles, identifier=identifiers, kind=kinds, home=homes, connection=connections,
        user=transports, asap=st.sampled_from((None, e.sctp(port=9))), life=st.sampled_from((300, 301, -1)),
        fit=st.booleans(),
    )  # fmt: skip
    def register(self, data, handle, identifier, kind, home, connection, user, asap, life, fit) -> None:
        pool = self.model.pools.get(handle)
        if fit and pool is not None:
            kind = pool.kind
            user = next(iter(pool.elements.values())).user
        one = small_weights if kind == e.WRR else values
        words = tuple(data.draw(st.lists(one, min_size=e.WORDS[kind], max_size=e.WORDS[kind])))
        octets = e.element(identifier, kind, words, home=99, life=life, user=user, asap=asap)
        new = oracle.Element(identifier, kind, words, life, user, asap, home, connection, 0)
        verdict = self.real.register(handle, octets, home=home, connection=connection)
        assert verdict.name == self.model.register(handle, new)

    @rule(handle=handles, identifier=identifiers)
    def remove(self, handle, identifier) -> None:
        view = self.real.find(handle, identifier)
        removed = self.model.remove(handle, identifier)
        assert self.real.remove(handle, identifier) is removed
        assert (view is not None) is removed
        if view is not None:
            with pytest.raises(LocalProtocolError):
                _ = view.identifier

    @rule(handle=handles, items=st.integers(0, 9), advance=st.booleans(), accept=st.booleans(), times=st.integers(1, 9))
    def resolve(self, handle, items, advance, accept, times) -> None:
        if handle not in self.model.pools:
            assert self.real.select(handle, items) == []
            assert self.real.resolution(handle, items) is None
            return
        for _ in range(times):
            expected = self.real.select(handle, items, advance=False)
            self.check_list(handle, items, expected)
            answer = self.real.resolution(handle, items, accept_subscription=accept, advance=advance)
            assert answer == self.model.response(handle, expected, accept)
            if advance:
                self.model.use(handle, expected[0])

    def check_list(self, handle, items, listed) -> None:
        if self.model.pools[handle].kind in oracle.RANDOM_POLICIES:
            candidates = {el.identifier for el in self.model.candidates(handle)}
            assert len(set(listed)) == len(listed)
            assert set(listed) <= candidates
            assert len(listed) == min(items or len(candidates), len(candidates))
        else:
            order = [el.identifier for el in self.model.order(handle)]
            assert listed == order[: items or len(order)]

    @rule(handle=handles, identifier=identifiers, home=homes, connection=connections)
    def change(self, handle, identifier, home, connection) -> None:
        element, view = self.model.find(handle, identifier), self.real.find(handle, identifier)
        if element is None:
            assert view is None
            return
        view.set_home(home)
        view.set_connection(connection)
        view.bad_reports += 1
        view.probed = not view.probed
        view.marked = not view.marked
        element.marked = element.marked and element.home == home
        element.home, element.connection = home, connection
        element.bad_reports += 1
        element.probed, element.marked = not element.probed, not element.marked

    @rule(home=homes, new_home=homes, most=st.integers(1, 5))
    def take_over(self, home, new_home, most) -> None:
        expected = self.model.by_creation(home)[:most] if home != new_home else []
        assert self.real.take_over(home, new_home, most) == expected
        for handle, identifier in expected:
            element = self.model.find(handle, identifier)
            element.home, element.marked = new_home, False

    @rule(home=homes, most=st.integers(1, 5))
    def mark(self, home, most) -> None:
        position = self.real.mark_home(home, None, most)
        while position is not None:
            position = self.real.mark_home(home, position, most)
        for handle, identifier in self.model.by_creation(home):
            self.model.find(handle, identifier).marked = True

    @rule(home=homes, most=st.integers(1, 5))
    def sweep(self, home, most) -> None:
        marked = [key for key in self.model.by_creation(home) if self.model.find(*key).marked]
        swept, position = self.real.sweep_marked(home, None, most)
        while position is not None:
            more, position = self.real.sweep_marked(home, position, most)
            swept += more
        assert swept == marked
        for key in marked:
            self.model.remove(*key)

    @rule(handle=handles, identifier=identifiers, which=st.sampled_from(Timer), wait=st.integers(0, 10**9))
    def arm(self, handle, identifier, which, wait) -> None:
        element = self.model.find(handle, identifier)
        if element is None:
            with pytest.raises(LocalProtocolError):
                self.real.arm(handle, identifier, which, self.now + wait)
            assert self.real.disarm(handle, identifier, which) is False
        elif wait % 4 == 0:
            assert self.real.disarm(handle, identifier, which) is (element.timers.pop(which, None) is not None)
        else:
            self.real.arm(handle, identifier, which, self.now + wait)
            element.timers[which] = self.now + wait

    @precondition(lambda self: len(self.wheel))
    @rule(wait=st.integers(0, 10**9), exact=st.booleans())
    def expire(self, wait, exact) -> None:
        armed = [
            (deadline, which, pool.handle, el)
            for pool, el in self.model.every()
            for which, deadline in el.timers.items()
        ]
        bound = self.wheel.next_expiry()
        assert bound is not None
        assert bound <= max(self.now, min(deadline for deadline, *_ in armed))
        self.now = max(self.now, bound) if exact else self.now + wait
        due = [entry for entry in armed if entry[0] <= self.now]
        fired = self.real.expire(self.now)
        assert sorted(fired) == sorted((which, handle, el.identifier) for _, which, handle, el in due)
        deadlines = {(which, handle, el.identifier): deadline for deadline, which, handle, el in due}
        assert [deadlines[key] for key in fired] == sorted(deadlines.values())
        for _, which, _, element in due:
            del element.timers[which]

    @rule(own_only=st.booleans(), octets=st.integers(1, 900))
    def table(self, own_only, octets) -> None:
        order = [(pool.handle, el.identifier) for pool, el in self.model.every()]
        if own_only:
            order = self.model.by_creation(OWN)
        position, listed = None, 0
        while True:
            part, position = self.real.table(own_only, position, octets)
            count = next(n for n in range(len(order) + 1) if self.model.entries(order[listed : listed + n]) == part)
            listed += count
            assert count == 1 or len(part) <= octets or not order
            if position is None:
                break
            assert len(self.model.entries(order[listed - count : listed + 1])) > octets
        assert listed == len(order)

    @invariant()
    def same(self) -> None:
        self.real._check()
        every = self.model.every()
        assert len(self.real) == len(every)
        assert [pool.handle for pool in self.real.pools()] == list(dict.fromkeys(pool.handle for pool, _ in every))
        shown = [view for pool in self.real.pools() for view in pool]
        assert [view.parameter for view in shown] == [el.encoded() for _, el in every]
        for view, (_, element) in zip(shown, every, strict=True):
            assert (view.bad_reports, view.marked, view.probed) == (
                element.bad_reports,
                element.marked,
                element.probed,
            )
        for home in (OWN, 8, 9, 0):
            assert self.real.checksum(home) == self.model.checksum(home)
            assert self.real.owned(home) == self.model.by_creation(home)
        for connection in (1, 2, 17, 2**64 - 1):
            assert self.real.connected(connection) == self.model.connected(connection)


TestHandlespace = Comparison.TestCase
TestHandlespace.settings = settings(max_examples=100, stateful_step_count=60)
