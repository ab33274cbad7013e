"""The journal writes the lines that the action log would write for the same octets."""

from hypothesis import given
from hypothesis import strategies as st

from rserpool import messages as m
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.journal import Journal
from rserpool.registrar.instruments.action_log import ActionLog
from rserpool.registrar.instruments.observers import Channel
from tests.support import elements as e
from tests.support.lanes import lane_of

OWN, LINE = 0x0A0B0C0D, 33
ORIGIN, EPOCH = 1_000_000_000, 1_795_166_740_123_456
"""Microseconds: the lane time at which the log begins, and the wall clock at lane time 0."""
POOLS = (b"Echo", b'a"b\\c', b"\x00\xff 7", b"P" * 255)


class Journalled:
    """A lane with a journal, and an action log that receives the same messages."""

    def __init__(self, size: int = 1 << 18) -> None:
        self.space = Handlespace(OWN, seed=1, wheel=Wheel(ORIGIN))
        for handle in POOLS:
            for identifier in range(1, 40):
                octets = e.element(identifier, e.LU, (identifier,), asap=e.sctp(9))
                self.space.register(handle, octets, home=OWN, connection=LINE)
        self.now = ORIGIN
        self.expected: list[str] = []
        self.full = 0
        self.log = ActionLog(
            lambda line: self.expected.append(f"{len(self.expected) + 1:06d} {line}\n"),
            lambda: OWN,
            5.0,
            wall=lambda: (EPOCH + self.now) / 1e6,
            elapsed=lambda: (self.now - ORIGIN) / 1e6,
        )
        self.outstanding: dict[tuple[bytes, int], float] = {}
        self.journal = Journal(origin=ORIGIN, outstanding=self.outstanding, on_full=self.count_full, size=size)
        self.journal.wall_offset = EPOCH
        self.lane = lane_of(self.space, LINE)
        self.lane.context.journal = self.journal

    def count_full(self) -> None:
        self.full += 1

    def serve(self, message: bytes) -> None:
        answers, served = self.lane.serve(message, (self.now + 0.25) / 1e6)
        assert served == len(message)
        self.log.received(Channel.ASAP, message)
        if answers:
            self.log.sent(Channel.ASAP, answers)

    def send_keep_alive(self, handle: bytes, identifier: int) -> None:
        """Record that a keep-alive was sent."""
        self.log.outstanding[handle, identifier] = (self.now - ORIGIN) / 1e6
        self.outstanding.update(self.log.outstanding)


def registration(handle: bytes, identifier: int, load: int) -> bytes:
    return e.message(1, e.handle_parameter(handle), e.element(identifier, e.LU, (load,)))


def acknowledgement(handle: bytes, identifier: int) -> bytes:
    return e.message(8, e.handle_parameter(handle), e.identifier_parameter(identifier))


def resolution(handle: bytes, items: int | None) -> bytes:
    return m.HandleResolution(pool_handle=handle, items=items).encode()


HANDLES = st.sampled_from(POOLS)
IDENTIFIERS = st.integers(1, 39)
MESSAGES = st.one_of(
    st.builds(registration, HANDLES, IDENTIFIERS, st.integers(0, 2**32 - 1)),
    st.builds(acknowledgement, HANDLES, IDENTIFIERS),
    st.builds(resolution, HANDLES, st.one_of(st.none(), st.integers(1, 2**32 - 1))),
)


@given(st.lists(st.tuples(st.integers(0, 10**9), MESSAGES, st.booleans()), max_size=12))
def test_journal_writes_the_lines_of_the_action_log(events: list[tuple[int, bytes, bool]]) -> None:
    both = Journalled()
    for wait, message, asked in events:
        if asked:
            both.send_keep_alive(POOLS[0], 1)
        both.now += wait
        both.serve(message)
    assert both.journal.take() == ("".join(both.expected), 0)
    assert both.journal.take() == ("", 0)
    assert both.outstanding == both.log.outstanding
    assert both.journal.lines == len(both.expected)


def test_numbering_continues_after_other_lines() -> None:
    both = Journalled()
    both.serve(acknowledgement(POOLS[0], 1))
    assert both.journal.take()[0].startswith("000001 ")
    both.journal.lines = 999_999
    both.serve(acknowledgement(POOLS[0], 1))
    assert both.journal.take()[0].startswith("1000000 ")


def test_lines_without_room_are_dropped_and_counted() -> None:
    both = Journalled(size=4096)
    for _ in range(20):
        both.serve(resolution(POOLS[0], 3))
    text, dropped = both.journal.take()
    written = text.count("\n")
    assert written + dropped == 40
    assert written == both.journal.lines > 10
    assert both.full == dropped
    both.serve(resolution(POOLS[0], 3))
    assert both.journal.take()[1] == 0


def test_full_journal_that_is_emptied_drops_no_line() -> None:
    both = Journalled(size=2048)
    taken: list[str] = []

    def empty() -> None:
        taken.append(both.journal.take()[0])

    both.journal = both.lane.context.journal = Journal(origin=ORIGIN, outstanding={}, on_full=empty, size=2048)
    both.journal.wall_offset = EPOCH
    for _ in range(50):
        both.serve(resolution(POOLS[0], 3))
    empty()
    assert len(taken) > 2
    assert "".join(taken) == "".join(both.expected)


def test_reregistration_is_logged_before_renewed_is_called() -> None:
    both = Journalled()
    lines: list[int] = []
    both.lane.renewed = lambda: lines.append(both.journal.take()[0].count("\n"))
    both.serve(registration(POOLS[0], 1, 7))
    assert lines == [1]
    assert both.journal.take()[0].count("RegistrationResponse") == 1
