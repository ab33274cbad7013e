"""rspregistrar's options: the unit and range of each, and the configuration that results."""

import random
import re
import socket
from pathlib import Path

import pytest

from rserpool.cli.rsplib_banner import banner
from rserpool.cli.rsplib_config import FIRST_PORT, LAST_PORT, UNLIMITED, Setup
from rserpool.cli.rsplib_options import OPTIONS, RENAMED, parse, usage
from rserpool.cli.rsplib_values import ArgumentError, Place, split_port
from rserpool.model.addresses import Scope
from rserpool.registrar.config import OPTIONS as REGISTRAR_OPTIONS
from rserpool.registrar.config import Config
from rserpool.settings.profile import RFC
from rserpool.settings.server import ServerOptions

DRAW = random.Random(1).randint


def setup(*arguments: str, **environment: str) -> Setup:
    return Setup(parse(arguments), environment)


def config(*arguments: str, **environment: str) -> Config:
    return setup(*arguments, **environment).config(DRAW)


SETTINGS = [
    ("-serverannouncecycle=2000", "announce_interval", 2.0),
    ("-serverannouncecycle=1", "announce_interval", 0.1),
    ("-serverannouncecycle=99999", "announce_interval", 60.0),
    ("-endpointkeepalivetransmissioninterval=700", "keep_alive_interval", 0.7),
    ("-endpointkeepalivetransmissioninterval=1", "keep_alive_interval", 0.3),
    ("-endpointkeepalivetransmissioninterval=999999", "keep_alive_interval", 300.0),
    ("-endpointkeepalivetimeoutinterval=700", "keep_alive_timeout", 0.7),
    ("-endpointkeepalivetimeoutinterval=0", "keep_alive_timeout", 0.1),
    ("-endpointkeepalivetimeoutinterval=60001", "keep_alive_timeout", 60.0),
    ("-peerheartbeatcycle=1500", "heartbeat", 1.5),
    ("-peerheartbeatcycle=1", "heartbeat", 1.0),
    ("-peerheartbeatcycle=300001", "heartbeat", 300.0),
    ("-peermaxtimelastheard=1500", "last_heard", 1.5),
    ("-peermaxtimelastheard=-5", "last_heard", 1.0),
    ("-peermaxtimelastheard=300001", "last_heard", 300.0),
    ("-peermaxtimenoresponse=1500", "max_time_no_response", 1.5),
    ("-peermaxtimenoresponse=999", "max_time_no_response", 1.0),
    ("-peermaxtimenoresponse=60001", "max_time_no_response", 60.0),
    ("-mentordiscoverytimeout=1500", "mentor_discovery_timeout", 1.5),
    ("-mentordiscoverytimeout=999", "mentor_discovery_timeout", 1.0),
    ("-mentordiscoverytimeout=60001", "mentor_discovery_timeout", 60.0),
    ("-takeoverexpiryinterval=1500", "takeover_expiry", 1.5),
    ("-takeoverexpiryinterval=999", "takeover_expiry", 1.0),
    ("-takeoverexpiryinterval=60001", "takeover_expiry", 60.0),
    ("-distancestep=10", "distance_step", 0.01),
    ("-distancestep=0", "distance_step", 0.001),
    ("-maxincrement=7", "max_increment", 7),
    ("-maxincrement=-1", "max_increment", 0),
    ("-maxelementsperhtrequest=5", "max_table_elements", 5),
    ("-maxelementsperhtrequest=0", "max_table_elements", 1),
    ("-maxelementsperhtrequest=5000", "max_table_elements", 1024),
    ("-identifier=0xABCDEF01", "identifier", 0xABCDEF01),
    ("-identifier=17", "identifier", 17),
    ("-identifier=0x123456789", "identifier", 0x23456789),
    ("-minaddressscope=loopback", "address_scope", Scope.LOOPBACK),
    ("-minaddressscope=sitelocal", "address_scope", Scope.SITE_LOCAL),
    ("-minaddressscope=global", "address_scope", Scope.GLOBAL),
]
SERVER = [
    ("-autoclosetimeout=60", "idle_timeout", 60.0),
    ("-autoclosetimeout=1", "idle_timeout", 5.0),
    ("-announcettl=5", "announce_ttl", 5),
    ("-announcettl=0", "announce_ttl", 1),
    ("-announcettl=256", "announce_ttl", 255),
    ("-asapannounce=auto", "announce", ("239.0.0.50:3863",)),
    ("-asapannounce=off", "announce", ()),
    ("-asapannounce=none", "announce", ()),
    ("-asapannounce=239.1.2.3", "announce", ("239.1.2.3:3863",)),
    ("-asapannounce=239.1.2.3:99", "announce", ("239.1.2.3:99",)),
    ("-asapannounce=[ff05::9]:99", "announce", ("[ff05::9]:99",)),
    ("-enrpannounce=auto", "enrp_announce", ("239.0.0.51:9901",)),
    ("-enrpannounce=off", "enrp_announce", ()),
    ("-enrpannounce=239.1.2.3", "enrp_announce", ("239.1.2.3:9901",)),
    ("-enrpmulticast=239.1.2.3:5", "enrp_announce", ("239.1.2.3:5",)),
    ("-peer=10.0.0.1", "peer", ("10.0.0.1:9901",)),
    ("-peer=10.0.0.1!99,10.1.0.1", "peer", ("10.0.0.1:99,10.1.0.1:99",)),
    ("-asap=10.0.0.1:5000,10.1.0.1", "asap", ("10.0.0.1:5000", "10.1.0.1:5000")),
    ("-asap=10.0.0.1:5000,10.1.0.1:6000", "asap", ("10.0.0.1:5000", "10.1.0.1:5000")),
    ("-asap=[fd44::1]:5000", "asap", ("[fd44::1]:5000",)),
    ("-enrp=10.0.0.1:9901", "enrp", ("10.0.0.1:9901",)),
    ("-transport=usrsctp", "transport", "usrsctp"),
    ("-statsfile=/tmp/x", "stats_file", "/tmp/x"),
    ("-statsinterval=500", "stats_interval", 0.5),
    ("-statsinterval=1", "stats_interval", 0.01),
    ("-statsinterval=3600001", "stats_interval", 3600.0),
    ("-actionlogfile=a.bz2", "action_log_file", "a.bz2"),
    ("-scalar=s", "scalar_file", "s"),
    ("-object=reg=1", "object_name", "reg=1"),
    ("-cspserver=10.0.0.9", "csp_server", "10.0.0.9:2960"),
    ("-cspserver=10.0.0.9", "csp_interval", 0.25),
    ("-cspserver=10.0.0.9:77", "csp_server", "10.0.0.9:77"),
    ("-cspinterval=100", "csp_interval", 0.1),
    ("-cspinterval=100", "csp_server", "127.0.0.1:2960"),
    ("-cspinterval=0", "csp_interval", 0.0),
    ("-loglevel=0", "log_level", "error"),
    ("-loglevel=2", "log_level", "warning"),
    ("-loglevel=4", "log_level", "info"),
    ("-loglevel=99", "log_level", "debug"),
]
PROCESS = [
    ("-quiet", "quiet", True),
    ("-daemonpidfile=/run/x.pid", "daemon_pid_file", "/run/x.pid"),
    ("-uptime=2.5", "uptime", 2.5),
    ("-uptime=-1", "uptime", 0.0),
    ("-downtime=3", "downtime", 3.0),
    ("-downtime=-3", "downtime", 0.0),
    ("-loglevel=4", "log_level", 4),
    ("-loglevel=99", "log_level", 9),
    ("-loglevel=-1", "log_level", 0),
    ("-logquiet", "log_level", 0),
    ("-logfile=f", "log_file", "f"),
    ("-logfile=f", "log_append", False),
    ("-logappend=f", "log_file", "f"),
    ("-logappend=f", "log_append", True),
    ("-logcolor=off", "log_colour", False),
    ("-logcolor=whatever", "log_colour", True),
]
ELSEWHERE = {
    "disable-ipv6", "help", "maxbadpereports", "maxeurate", "maxhresitems", "maxhrrate",
    "profile", "supporttakeoversuggestion",
}  # fmt: skip
"""Options that have their own tests below."""


@pytest.mark.parametrize(("argument", "field", "expected"), SETTINGS)
def test_option_sets_protocol_setting(argument: str, field: str, expected: object) -> None:
    assert getattr(config(argument).settings, field) == expected


@pytest.mark.parametrize(("argument", "field", "expected"), SERVER)
def test_option_sets_server_option(argument: str, field: str, expected: object) -> None:
    assert getattr(config(argument).server, field) == expected


@pytest.mark.parametrize(("argument", "field", "expected"), PROCESS)
def test_option_sets_process_option(argument: str, field: str, expected: object) -> None:
    assert getattr(setup(argument).process, field) == expected


def test_every_option_is_tested() -> None:
    tested = {row[0].lstrip("-").partition("=")[0] for row in (*SETTINGS, *SERVER, *PROCESS)} | ELSEWHERE
    assert {option.name for option in OPTIONS} == tested


def test_defaults_are_rsplibs() -> None:
    found = config()
    settings, server = found.settings, found.server
    assert settings.profile.name == "rsplib"
    assert settings.identifier > 0
    assert (settings.announce_interval, settings.keep_alive_interval, settings.keep_alive_timeout) == (1, 5, 5)
    assert (settings.heartbeat, settings.last_heard, settings.max_time_no_response) == (2.444, 5, 5)
    assert (settings.mentor_discovery_timeout, settings.takeover_expiry) == (5, 5)
    assert (settings.profile.default_items, settings.profile.bad_reports, settings.max_increment) == (3, 2, 0)
    assert (settings.distance_step, settings.address_scope) == (0.05, Scope.SITE_LOCAL)
    assert (server.idle_timeout, server.announce_ttl, server.csp_interval) == (300, 30, 0)
    assert (server.announce, server.enrp_announce) == (("239.0.0.50:3863",), ("239.0.0.51:9901",))
    assert (server.peer, server.stats_file, server.object_name, server.tcp) == ((), "", "registrar", False)
    assert (settings.limits.resolution_rate, settings.limits.report_rate) == (UNLIMITED, UNLIMITED)
    process = setup().process
    assert (process.quiet, process.log_level, process.log_file, process.log_colour) == (False, 1, "", True)
    assert settings.max_table_elements == 128
    assert not config().settings.takeover_suggestions


def test_rfc_profile_has_its_own_defaults() -> None:
    found = config("-profile=rfc")
    assert found.settings.profile is RFC
    assert found.settings.heartbeat == RFC.peer_heartbeat_cycle
    assert found.server.announce == ServerOptions().announce
    assert config("-profile=rfc", "-peerheartbeatcycle=2444").settings.heartbeat == 2.444


def test_given_items_and_reports_replace_those_of_the_profile() -> None:
    found = config("-maxhresitems=7", "-maxbadpereports=5").settings.profile
    assert (found.default_items, found.bad_reports) == (7, 4)
    found = config("-maxhresitems=0", "-maxbadpereports=0").settings.profile
    assert (found.default_items, found.bad_reports) == (1, 0)


def test_rate_limits_and_their_bursts() -> None:
    limits = config("-maxhrrate=4.5", "-maxeurate=2").settings.limits
    assert (limits.resolution_rate, limits.resolution_burst, limits.report_rate) == (4.5, 4, 2)
    limits = config("-maxhrrate=-1", "-maxeurate=0").settings.limits
    assert (limits.resolution_rate, limits.report_rate) == (UNLIMITED, UNLIMITED)


def test_takeover_suggestion_is_configured() -> None:
    assert config("-supporttakeoversuggestion").settings.takeover_suggestions


@pytest.mark.parametrize("argument", ["-asap=auto", "-enrp=auto"])
def test_auto_means_every_address_and_random_ports(argument: str) -> None:
    ports = set()
    for _ in range(50):
        found = config(argument).server
        (asap,), (enrp,) = found.asap, found.enrp
        assert asap.startswith("[::]:")
        assert enrp.startswith("[::]:")
        ports |= {int(asap[5:]), int(enrp[5:])}
        assert asap != enrp
    assert len(ports) > 90
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports)
    assert config(argument, "-disable-ipv6").server.asap[0].startswith("0.0.0.0:")


def test_address_without_port_gets_a_random_port() -> None:
    (where,) = config("-asap=10.0.0.1").server.asap
    assert FIRST_PORT <= int(where.partition(":")[2]) <= LAST_PORT
    assert setup("-asap=10.0.0.1", "-enrp=10.0.0.1:9").draws_ports
    assert not setup("-asap=10.0.0.1:8", "-enrp=10.0.0.1:9").draws_ports


def test_identifier_0_is_random() -> None:
    assert len({config("-identifier=0").settings.identifier for _ in range(3)}) == 3


def test_last_value_of_a_repeated_option_counts() -> None:
    assert config("-peer=10.0.0.1", "-peer=10.0.0.2:5").server.peer == ("10.0.0.1:9901", "10.0.0.2:5")
    assert config("-announcettl=3", "-announcettl=4").server.announce_ttl == 4


def test_environment_configures_status_reports() -> None:
    found = config(CSP_SERVER="10.0.0.9:5", CSP_INTERVAL="1000").server
    assert (found.csp_server, found.csp_interval) == ("10.0.0.9:5", 1.0)
    assert config(CSP_INTERVAL="1").server.csp_interval == 0.25
    assert config(CSP_INTERVAL="0").server.csp_interval == 0
    assert config(CSP_SERVER="10.0.0.9:5").server.csp_interval == 0
    assert config("-cspinterval=1", CSP_INTERVAL="1000").server.csp_interval == 0.001
    with pytest.raises(ArgumentError, match="CSP_INTERVAL"):
        setup(CSP_INTERVAL="often")


@pytest.mark.parametrize(
    "argument",
    [
        "-foo",
        "foo",
        "",
        "-",
        "-quiet=1",
        "-identifier",
        "-identifier=",
        "-identifier=xyz",
        "-minaddressscope=foo",
        "-profile=osi",
        "-transport=pigeon",
        "-asap=",
        "-asap=:5",
        "-asap=10.0.0.1:0",
        "-asap=10.0.0.1:65536",
        "-asap=[fd44::1",
        "-asap=no-such-host.invalid",
        "-asap=" + ",".join(["10.0.0.1"] * 65),
        "-asapannounce=10.1.1.1",
        "-asapannounce=239.0.0.1,239.0.0.2",
        "-cspserver=10.0.0.1,10.0.0.2",
        "-statsfile=",
        "-uptime=inf",
        "-uptime=soon",
        "-loglevel=loud",
        "-mentorhuntinterval=5",
    ],
)
def test_bad_argument_is_reported_in_one_line(argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ArgumentError) as raised:
        parse([argument])
    assert repr(argument) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_host_names_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 2, 17, "", ("10.0.0.7", 0)), None])
    assert parse(["-peer=registrar.example:5"]) == {"peer": (Place(("10.0.0.7",), 5),)}


def test_every_form_of_an_address_is_split() -> None:
    assert split_port("fd44::1", 9) == ("fd44::1", 9)
    assert split_port("[fd44::1]!7", 9) == ("fd44::1", 7)
    assert split_port("[fd44::1]", 9) == ("fd44::1", 9)


def test_two_dashes_are_accepted() -> None:
    assert parse(["--quiet", "--asap=10.0.0.1:5"]) == {"quiet": True, "asap": Place(("10.0.0.1",), 5)}


def test_every_key_is_an_option_of_rserpool_registrar() -> None:
    known = {option.key for option in REGISTRAR_OPTIONS}
    for option in OPTIONS:
        assert set(option.keys) <= known, option.name
        assert len(option.help) > 10
    # These options have no counterpart in rspregistrar.
    reached = {key for option in OPTIONS for key in option.keys}
    ours = {"tcp", "uvloop", "moderation", "update_delay", "peer_update_window", "announce_timeout"}
    assert {key for key in known - reached if not key.startswith("limit_")} == ours


def test_default_text_is_read_as_the_default() -> None:
    for option in OPTIONS:
        if option.value is None or not option.default_text or option.name in ("logfile", "logappend", "statsinterval"):
            continue
        assert option.value.read(option.default_text) == option.default, option.name


def test_usage_names_every_option() -> None:
    for option in OPTIONS:
        assert f"\n  {option.usage}\n" in usage()


def test_former_name_sets_the_present_option() -> None:
    assert set(parse(["-enrpmulticast=off"])) == set(RENAMED.values())


def test_banner_shows_the_configuration_in_force() -> None:
    given = setup(
        "-identifier=0xab", "-asap=10.0.0.1:3863,10.1.0.1", "-enrp=10.0.0.1:9901", "-asapannounce=none",
        "-cspserver=10.0.0.9", "-autoclosetimeout=1", "-maxhrrate=4.5", "-statsfile=x", "-scalar=s",
    )  # fmt: skip
    text = banner(given.config(DRAW), given.process)
    title, underline, *_ = text.splitlines()
    assert "Version 1.00" in title
    assert underline == "=" * len(title)
    rows = dict(re.findall(r"^ *([^:\n]+): +(.+)$", text, re.MULTILINE))
    assert list(rows)[:6] == [
        "Server ID",
        "ASAP Address",
        "ENRP Address",
        "ASAP Announce Address",
        "ENRP Announce Address",
        "ASAP/ENRP Announce TTL",
    ]
    assert rows["Server ID"] == "$000000ab"
    assert rows["ASAP Address"] == "{10.0.0.1, 10.1.0.1} 3863/SCTP"
    assert rows["ASAP Announce Address"] == "(none)"
    assert rows["ENRP Announce Address"] == "{239.0.0.51} 9901/UDP"
    assert rows["CSP Report Address"] == "10.0.0.9:2960"
    assert rows["CSP Report Interval"] == "250ms"
    assert rows["Auto-Close Timeout"] == "5s"
    assert rows["Min Address Scope"] == "site-local"
    assert rows["Peer Heartbeat Cycle"] == "2444ms"
    assert rows["Max Handle Resolution Rate"] == "4.50 requests/s"
    assert rows["Max Endpoint Unreachable Rate"] == "unlimited"
    assert rows["Daemon Mode"] == "off"
    headings = re.findall(r"^(\w+) Parameters:$", text, re.MULTILINE)
    assert headings == ["ASAP", "ENRP", "Security"]


def test_options_of_debians_init_script_are_accepted() -> None:
    process = setup(
        "-quiet", "-daemonpidfile=/var/run/rspregistrar.pid", "-logfile=/var/log/rspregistrar.log", "-loglevel=3",
        "-logcolor=off",
    ).process  # fmt: skip
    assert process.quiet
    assert Path(process.log_file).name == "rspregistrar.log"
    assert (process.log_level, process.log_colour) == (3, False)
