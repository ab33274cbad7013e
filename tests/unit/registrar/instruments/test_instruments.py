"""Statistics, scalars and the action log: rsplib's columns with this registrar's values."""

import bz2
import logging
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from rserpool import messages as m
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.journal import Journal
from rserpool.registrar.instruments import action_log as actionlog
from rserpool.registrar.instruments import statistics
from rserpool.registrar.instruments.action_log import ActionLog
from rserpool.registrar.instruments.lane_summary import LaneSummary
from rserpool.registrar.instruments.observers import Channel
from rserpool.registrar.instruments.output import Output
from rserpool.registrar.instruments.statistics import Averages, Sizes, Totals
from tests.support import elements
from tests.support.lanes import lane_of
from tests.unit.messages.test_messages import EVERY_MESSAGE

OURS, THEIRS = 0x11111111, 0x22222222
TOTALS = Totals(
    registrations=3,
    reregistrations=2,
    deregistrations=1,
    handle_resolutions=4,
    failure_reports=5,
    synchronizations=7,
    handle_updates=8,
    keep_alives=9,
)
ELEMENT = m.PoolElement(
    identifier=0xAA01,
    home_identifier=OURS,
    registration_life=30000,
    user_transport=m.TCPTransport(port=7, address=ip_address("10.0.0.1")),
    policy=m.Policy(policy_type=m.PolicyType.ROUND_ROBIN, values=()),
)


ACKNOWLEDGEMENT = m.EndpointKeepAliveAck(pool_handle=b"P", pe_identifier=1).encode()


def pool_of_one() -> Handlespace:
    space = Handlespace(OURS, seed=1, wheel=Wheel(0))
    space.register(b"P", elements.element(1, elements.LU, (1,)), home=OURS, connection=1)
    return space


class Logged:
    """An action log with clocks that a test sets, and its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 2.0
        self.log = ActionLog(
            self.lines.append, lambda: OURS, 5.0, wall=lambda: 1e9 + self.now, elapsed=lambda: self.now
        )

    def columns(self) -> list[str]:
        return self.lines[-1].split()


def test_statistics_line_has_rsplibs_columns() -> None:
    sizes = Sizes(peers=1, pools=2, elements=3, owned=2)
    shown = statistics.line(1795166740.9773921, 2.5, (1.25, 0.5), sizes, TOTALS)
    assert shown == "1795166740.977392 2.500000   1.750000 1.250000 0.500000   1 2 3 2   3 2 1 4 5 7 8 9"
    assert len(shown.split()) == len(statistics.HEADER.split())


def test_averages_are_weighted_by_time() -> None:
    averages = Averages(100.0)
    averages.hold(Sizes(peers=0, pools=1, elements=10, owned=4), 101.0)
    averages.hold(Sizes(peers=2, pools=1, elements=0, owned=0), 103.0)
    assert averages.read(104.0) == {"pools": 0.75, "elements": 5.0, "owned": 2.0, "peers": 0.5}
    assert set(Averages(1.0).read(1.0).values()) == {0.0}


def test_scalars_have_rsplibs_form() -> None:
    averages = {"pools": 0.640757, "elements": 0.5, "owned": 0.25, "peers": 1.0}
    assert statistics.scalars(1, "reg", TOTALS, averages).splitlines() == [
        'run 1 "scenario"',
        'scalar "reg" "Registrar Total Registrations"               3',
        'scalar "reg" "Registrar Total Reregistrations"             2',
        'scalar "reg" "Registrar Total Deregistrations"             1',
        'scalar "reg" "Registrar Total Handle Resolutions"          4',
        'scalar "reg" "Registrar Total Failure Reports"             5',
        'scalar "reg" "Registrar Total Synchronizations"            7',
        'scalar "reg" "Registrar Total Handle Updates"              8',
        'scalar "reg" "Registrar Total Endpoint Keep Alives"        9',
        'scalar "reg" "Registrar Average Number Of Pools"               0.640757',
        'scalar "reg" "Registrar Average Number Of Pool Elements"       0.500000',
        'scalar "reg" "Registrar Average Number Of Owned Pool Elements" 0.250000',
        'scalar "reg" "Registrar Average Number Of Peers"               1.000000',
    ]
    many = replace(TOTALS, registrations=123)
    numbered = 'scalar "reg" "Registrar Total Registrations"             123\n'
    assert numbered in statistics.scalars(1, "reg", many, averages)
    assert 'scalar "a\\"b" ' in statistics.scalars(1, 'a"b', TOTALS, averages)


def test_registration_is_logged_in_rsplibs_columns() -> None:
    logged = Logged()
    logged.log.received(Channel.ASAP, m.Registration(pool_handle=b"EchoPool", pool_element=ELEMENT).encode())
    assert logged.lines == [
        '  1000000002.000000 2.000000   "Recv" "ASAP" "Registration" "Requested"   0x0 0 0.000000   '
        '"EchoPool" 0xaa01   0x11111111 0x0 0x0   0'
    ]
    assert len(logged.columns()) == len(actionlog.HEADER.split())


def test_rejection_is_logged_with_flag_and_cause() -> None:
    logged = Logged()
    cause = m.ErrorCause(code=0xA)
    answer = m.RegistrationResponse(reject=True, pool_handle=b"P", pe_identifier=1, operation_error=(cause,))
    logged.log.sent(Channel.ASAP, answer.encode())
    columns = logged.columns()
    assert columns[2:7] == ['"Send"', '"ASAP"', '"RegistrationResponse"', '"Requested"', "0x1"]
    assert columns[-1] == "a"


def test_acknowledgement_is_logged_with_its_response_time() -> None:
    logged = Logged()
    keep_alive = m.EndpointKeepAlive(server_identifier=OURS, pool_handle=b"P", pe_identifier=9)
    logged.log.sent(Channel.ASAP, keep_alive.encode())
    assert logged.columns()[4:9] == ['"EndpointKeepAlive"', '"KeepAliveTransmissionTimer"', "0x0", "0", "5.000000"]
    logged.now = 2.25
    logged.log.received(Channel.ASAP, m.EndpointKeepAliveAck(pool_handle=b"P", pe_identifier=9).encode())
    assert logged.columns()[4:9] == ['"EndpointKeepAliveAck"', '"InTime"', "0x0", "0", "0.250000"]


def test_resolution_is_logged_with_its_number_of_elements() -> None:
    logged = Logged()
    logged.log.received(Channel.ASAP, m.HandleResolution(subscribe=False, pool_handle=b"P", items=4).encode())
    assert logged.columns()[7] == "4"
    policy = ELEMENT.policy
    answer = m.HandleResolutionResponse(pool_handle=b"P", policy=policy, pool_elements=(ELEMENT, ELEMENT))
    logged.log.sent(Channel.ASAP, answer.encode())
    assert (logged.columns()[7], logged.columns()[10]) == ("2", "0xaa01")


def test_enrp_messages_are_logged_with_their_identifiers() -> None:
    logged = Logged()
    names = {"sender_identifier": THEIRS, "receiver_identifier": OURS}
    update = m.HandleUpdate(**names, update_action=1, pool_handle=b"P", pool_element=ELEMENT)
    logged.log.received(Channel.ENRP, update.encode())
    columns = logged.columns()
    assert columns[4:6] == ['"Update"', '"DelPE"']
    assert columns[9:14] == ['"P"', "0xaa01", "0x22222222", "0x11111111", "0x0"]
    logged.log.received(Channel.ENRP, m.InitTakeover(**names, target_identifier=0x33).encode())
    assert logged.columns()[4] == '"InitTakeover"'
    assert logged.columns()[13] == "0x33"
    logged.log.received(Channel.MULTICAST_ENRP, m.Presence(sender_identifier=THEIRS, receiver_identifier=0).encode())
    assert logged.columns()[3:5] == ['"MulticastENRP"', '"Presence"']


@pytest.mark.parametrize("message", [row[0] for row in EVERY_MESSAGE])
def test_every_message_fills_the_columns(message: m.Message) -> None:
    logged = Logged()
    channel = Channel.ENRP if isinstance(message, m.EnrpMessage) else Channel.ASAP
    logged.log.received(channel, message.encode())
    assert len(logged.columns()) == len(actionlog.HEADER.split()) or '""' in logged.lines[0]
    assert '"Malformed"' not in logged.lines[0]


def test_received_copies_of_own_multicasts_are_not_logged() -> None:
    logged = Logged()
    presence = m.Presence(sender_identifier=OURS, receiver_identifier=0).encode()
    announcement = m.ServerAnnounce(server_identifier=OURS).encode()
    logged.log.received(Channel.MULTICAST_ENRP, presence)
    logged.log.received(Channel.MULTICAST_ASAP, announcement)
    assert logged.lines == []
    logged.log.sent(Channel.MULTICAST_ENRP, presence)
    logged.log.sent(Channel.MULTICAST_ASAP, announcement)
    assert len(logged.lines) == 2


def test_malformed_messages_and_hostile_handles_stay_on_one_line() -> None:
    logged = Logged()
    logged.log.received(Channel.ASAP, b"")
    logged.log.received(Channel.ASAP, b"\x05\x00\x00\x08\x00\x09\x00\x04")
    assert '"Malformed"' in logged.lines[0]
    assert '"Malformed"' in logged.lines[1]
    hostile = m.Deregistration(pool_handle=b'a"\n\\\xff', pe_identifier=1)
    logged.log.received(Channel.ASAP, hostile.encode())
    assert '"a\\x22\\x0a\\x5c\\xff"' in logged.lines[2]
    assert all("\n" not in line for line in logged.lines)


def test_oldest_unanswered_keep_alives_are_forgotten_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actionlog, "MAX_OUTSTANDING", 3)
    logged = Logged()
    for identifier in range(1, 10):
        message = m.EndpointKeepAlive(server_identifier=OURS, pool_handle=b"P", pe_identifier=identifier)
        logged.log.sent(Channel.ASAP, message.encode())
    assert [identifier for _, identifier in logged.log.outstanding] == [7, 8, 9]


@pytest.mark.parametrize("name", ["lines", "lines.bz2"])
def test_output_numbers_its_lines(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    output = Output(str(path))
    output.text("Head\n")
    output.line("a")
    output.flush()
    output.line("b")
    output.close()
    output.line("late")
    octets = path.read_bytes()
    assert (bz2.decompress(octets) if name.endswith("2") else octets) == b"Head\n000001 a\n000002 b\n"


def test_full_disk_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    output = Output("/dev/full")
    output.line("a")
    for _ in range(3):
        output.flush()
    output.close()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "/dev/full" in record.getMessage()


def test_file_that_cannot_be_created_raises_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Output(str(tmp_path / "nowhere/file"))


def test_action_log_file_keeps_the_order_of_lines(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "log"))
    file = actionlog.ActionLogFile(output, 0.0, {}, wall=lambda: 1e9, monotonic=lambda: 0.0)
    lane = lane_of(pool_of_one(), 1)
    lane.context.journal = file.journal
    file.line("first")
    lane.serve(ACKNOWLEDGEMENT, 2.0)
    file.line("third")
    lane.serve(ACKNOWLEDGEMENT, 3.0)
    file.write_journal()
    output.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line[:6] for line in lines] == ["000001", "000002", "000003", "000004"]
    assert [line.split()[1] for line in lines] == ["first", "1000000002.000000", "third", "1000000003.000000"]


def test_action_log_file_reports_dropped_lines(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "log"))
    file = actionlog.ActionLogFile(output, 0.0, {})
    file.journal = Journal(origin=0, outstanding={}, on_full=lambda: None, size=100)
    lane = lane_of(pool_of_one(), 1)
    lane.context.journal = file.journal
    lane.serve(ACKNOWLEDGEMENT, 2.0)
    file.line("next")
    output.close()
    expected = "# 1 lines were left out here: the buffer was full\n000001 next\n"
    assert (tmp_path / "log").read_text() == expected


def test_debug_log_sums_up_the_messages_that_lanes_serve(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rserpool.registrar")
    lanes = [lane_of(pool_of_one(), 1), lane_of(pool_of_one(), 1)]
    summary = LaneSummary(lambda: lanes[0].context.counters)
    summary.log()
    lanes[0].serve(ACKNOWLEDGEMENT * 3, 2.0)
    summary.log()
    summary.log()
    lanes.pop(0)
    lanes[0].serve(ACKNOWLEDGEMENT, 2.0)
    summary.log()
    assert caplog.messages == [
        "fast lane: 3 keep-alive acknowledgements in the last second",
        "fast lane: 1 keep-alive acknowledgements in the last second",
    ]
