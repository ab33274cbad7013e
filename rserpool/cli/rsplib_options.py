"""The list of rspregistrar's options. Parser, usage text, manual page, shell completion and tests are made from it.

Names, units, ranges and defaults are rsplib's. ``keys`` names the options of ``rserpool registrar`` with the same
effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rserpool.cli import rsplib_values as values
from rserpool.cli.rsplib_values import ArgumentError, Place, Value
from rserpool.model.addresses import Scope
from rserpool.model.numbers import CSP_PORT
from rserpool.settings.choices import TRANSPORTS
from rserpool.settings.profile import PROFILES

PROGRAM = "rspregistrar"
ASAP_GROUP = Place(("239.0.0.50",), 3863)
ENRP_GROUP = Place(("239.0.0.51",), 9901)
MAX_LOG_LEVEL = 9
SCOPES = {"loopback": Scope.LOOPBACK, "sitelocal": Scope.SITE_LOCAL, "global": Scope.GLOBAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class RsplibOption:
    """One option. An option without a value is a switch."""

    name: str
    group: str
    help: str
    value: Value | None = None
    default: object = False
    default_text: str = ""
    keys: tuple[str, ...] = ()
    repeatable: bool = False

    @property
    def usage(self) -> str:
        """The option in the form of the command line."""
        return f"-{self.name}" + (f"={self.value.metavar}" if self.value else "")

    @property
    def range_text(self) -> str:
        """The range of the value; empty if there is none."""
        if self.value is None or self.value.lowest is None:
            return ""
        lowest = f"{self.value.lowest:g}"
        if self.value.highest is None:
            return f"at least {lowest}"
        return f"{lowest} to {self.value.highest:.0f}"


def timer(name: str, group: str, default: int, value: Value, key: str, help_text: str) -> RsplibOption:
    """An option whose value is in milliseconds."""
    return RsplibOption(
        name=name,
        group=group,
        value=value,
        default=default / 1000,
        default_text=str(default),
        keys=(key,),
        help=help_text,
    )


IDENTITY = (
    RsplibOption(
        name="identifier",
        group="Identity and addresses",
        value=values.identifier(),
        default=0,
        default_text="0",
        keys=("identifier",),
        help="The registrar's server identifier, decimal or 0x hexadecimal. 0 draws a random one.",
    ),
    RsplibOption(
        name="asap",
        group="Identity and addresses",
        value=values.endpoint(),
        default=values.AUTO,
        default_text="auto",
        keys=("asap",),
        help="Addresses that serve pool elements and pool users over SCTP. auto means all addresses of this host with "
        "a sufficient scope. The port of the first address is the port of all; without one, a random port from "
        "10000 to 59999.",
    ),
    RsplibOption(
        name="asapannounce",
        group="Identity and addresses",
        value=values.group(ASAP_GROUP),
        default=ASAP_GROUP,
        default_text="auto",
        keys=("announce",),
        help="The multicast group in which the registrar announces itself, with port 3863 by default. auto means "
        "239.0.0.50, and with profile rfc also the groups of the IANA; off and none turn announcements off.",
    ),
    RsplibOption(
        name="enrp",
        group="Identity and addresses",
        value=values.endpoint(),
        default=values.AUTO,
        default_text="auto",
        keys=("enrp",),
        help="Addresses that serve other registrars over SCTP, in the same form as -asap.",
    ),
    RsplibOption(
        name="enrpannounce",
        group="Identity and addresses",
        value=values.group(ENRP_GROUP),
        default=ENRP_GROUP,
        default_text="auto",
        keys=("enrp_announce",),
        help="The multicast group through which registrars find each other, with port 9901 by default. auto means "
        "239.0.0.51; off and none leave only the registrars given by -peer.",
    ),
    RsplibOption(
        name="enrpmulticast",
        group="Identity and addresses",
        value=values.group(ENRP_GROUP),
        default=ENRP_GROUP,
        default_text="auto",
        keys=("enrp_announce",),
        help="The former name of -enrpannounce.",
    ),
    RsplibOption(
        name="peer",
        group="Identity and addresses",
        value=values.peer(9901),
        default=(),
        keys=("peer",),
        repeatable=True,
        help="The ENRP addresses of another registrar, with port 9901 by default. Give the option once for each "
        "registrar.",
    ),
    RsplibOption(
        name="announcettl",
        group="Identity and addresses",
        value=values.count(1, 255, "hops"),
        default=30,
        default_text="30",
        keys=("announce_ttl",),
        help="Number of hops that announcements and multicast presences travel.",
    ),
    RsplibOption(
        name="disable-ipv6",
        group="Identity and addresses",
        help="With auto addresses, use IPv4 only.",
    ),
    RsplibOption(
        name="minaddressscope",
        group="Identity and addresses",
        value=values.word(SCOPES),
        default=Scope.SITE_LOCAL,
        default_text="sitelocal",
        keys=("address_scope",),
        help="The narrowest scope of an address that the registrar serves at or accepts in a registration. With "
        "loopback, pools work on this machine only.",
    ),
    RsplibOption(
        name="transport",
        group="Identity and addresses",
        value=values.word(TRANSPORTS),
        default="auto",
        default_text="auto",
        keys=("transport",),
        help="The SCTP implementation: kernel, or usrsctp over UDP with UDP port = SCTP port. auto uses the kernel's "
        "if it has one. rsplib's programs need the kernel's.",
    ),
    RsplibOption(
        name="profile",
        group="Identity and addresses",
        value=values.word(PROFILES),
        default=PROFILES["rsplib"],
        default_text="rsplib",
        keys=("profile",),
        help="The dialect: rsplib's, or the RFCs' with their default timers. All registrars of a scope must use the "
        "same.",
    ),
)
ASAP = (
    timer(
        "serverannouncecycle",
        "ASAP",
        1000,
        values.milliseconds(100, 60_000),
        "announce_interval",
        "Time between two announcements.",
    ),
    timer(
        "endpointkeepalivetransmissioninterval",
        "ASAP",
        5000,
        values.milliseconds(300, 300_000),
        "keep_alive_interval",
        "Mean time between a pool element's acknowledgement and the next keep-alive.",
    ),
    timer(
        "endpointkeepalivetimeoutinterval",
        "ASAP",
        5000,
        values.milliseconds(100, 60_000),
        "keep_alive_timeout",
        "Time within which a pool element must acknowledge a keep-alive; otherwise it is removed.",
    ),
    RsplibOption(
        name="maxbadpereports",
        group="ASAP",
        value=values.count(1, metavar="reports"),
        default=3,
        default_text="3",
        keys=("max_bad_reports",),
        help="Number of unreachability reports at which a pool element is removed.",
    ),
    RsplibOption(
        name="maxhresitems",
        group="ASAP",
        value=values.count(1, metavar="elements"),
        default=3,
        default_text="3",
        keys=("max_items",),
        help="Number of pool elements in an answer if the user requests no number.",
    ),
    RsplibOption(
        name="maxincrement",
        group="ASAP",
        value=values.count(0, metavar="elements"),
        default=0,
        default_text="0",
        keys=("max_increment",),
        help="Number of an answer's pool elements that count as used. 0 lets the policy decide.",
    ),
    timer(
        "distancestep",
        "ASAP",
        50,
        values.milliseconds(1),
        "distance_step",
        "Unit of distances in the delay-penalty policies; distances are rounded to its multiples.",
    ),
    RsplibOption(
        name="autoclosetimeout",
        group="ASAP",
        value=values.seconds(5),
        default=300.0,
        default_text="300",
        keys=("idle_timeout",),
        help="Time without a message in either direction after which an association is closed.",
    ),
    RsplibOption(
        name="maxhrrate",
        group="ASAP",
        value=values.rate(),
        default=0.0,
        default_text="-1",
        keys=("limit_resolution_rate", "limit_resolution_burst"),
        help="Handle resolutions per second that a pool user may request. 0 or less means no limit.",
    ),
    RsplibOption(
        name="maxeurate",
        group="ASAP",
        value=values.rate(),
        default=0.0,
        default_text="-1",
        keys=("limit_report_rate",),
        help="Unreachability reports per second that are accepted from a pool user. 0 or less means no limit.",
    ),
)
ENRP = (
    timer(
        "peerheartbeatcycle",
        "ENRP",
        2444,
        values.milliseconds(1000, 300_000),
        "peer_heartbeat_cycle",
        "Time between two presences to the other registrars.",
    ),
    timer(
        "peermaxtimelastheard",
        "ENRP",
        5000,
        values.milliseconds(1000, 300_000),
        "max_time_last_heard",
        "Silence after which another registrar must prove that it is alive.",
    ),
    timer(
        "peermaxtimenoresponse",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "max_time_no_response",
        "Time within which it must answer; otherwise it is taken over.",
    ),
    timer(
        "mentordiscoverytimeout",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "mentor_discovery_timeout",
        "Time for which a starting registrar looks for another one to copy the handlespace from.",
    ),
    timer(
        "takeoverexpiryinterval",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "takeover_expiry",
        "Time to wait for the other registrars to agree to a takeover.",
    ),
    RsplibOption(
        name="maxelementsperhtrequest",
        group="ENRP",
        value=values.count(1, 1024, "elements"),
        default=128,
        default_text="128",
        keys=("max_table_elements",),
        help="Largest number of pool elements in one part of a handle table.",
    ),
    RsplibOption(
        name="supporttakeoversuggestion",
        group="ENRP",
        keys=("takeover_suggestions",),
        help="Suggest to other registrars which pool elements to take over, and follow their suggestions.",
    ),
)
REPORTS = (
    RsplibOption(
        name="cspserver",
        group="Reports and statistics",
        value=values.address(CSP_PORT),
        default=None,
        keys=("csp_server",),
        help="Receiver of status reports over UDP, with port 2960 by default; rsplib's cspmonitor shows them. If not "
        "given, the environment variable CSP_SERVER is used, else 127.0.0.1.",
    ),
    RsplibOption(
        name="cspinterval",
        group="Reports and statistics",
        value=values.milliseconds(0),
        default=None,
        keys=("csp_interval",),
        help="Time between two status reports; 0 sends none. If not given, the environment variable CSP_INTERVAL is "
        "used (at least 250), else 250 with -cspserver and 0 without.",
    ),
    RsplibOption(
        name="actionlogfile",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("action_log_file",),
        help="File with one line for each message sent or received, compressed if the name ends in .bz2.",
    ),
    RsplibOption(
        name="statsfile",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("stats_file",),
        help="File for statistics, compressed if the name ends in .bz2.",
    ),
    RsplibOption(
        name="statsinterval",
        group="Reports and statistics",
        value=values.milliseconds(10, 3_600_000),
        default=0.0,
        default_text="one line, at the end",
        keys=("stats_interval",),
        help="Time between two lines of the statistics file.",
    ),
    RsplibOption(
        name="scalar",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("scalar_file",),
        help="File for totals and averages, written at the end.",
    ),
    RsplibOption(
        name="object",
        group="Reports and statistics",
        value=values.text(),
        default="registrar",
        default_text="registrar",
        keys=("object_name",),
        help="Name of the registrar in the scalar file.",
    ),
)
PROCESS = (
    RsplibOption(
        name="loglevel",
        group="Log and process",
        value=values.count(0, MAX_LOG_LEVEL, "level"),
        default=1,
        default_text="1",
        keys=("log_level",),
        help="Messages to log: 0 nothing, 1 errors, 2 also warnings, 3 and 4 also events, 5 to 9 also ASAP and "
        "ENRP messages (common ASAP messages are summed up once a second).",
    ),
    RsplibOption(
        name="logfile",
        group="Log and process",
        value=values.file(),
        default="",
        default_text="standard error",
        help="File for the log; an existing file is overwritten.",
    ),
    RsplibOption(
        name="logappend",
        group="Log and process",
        value=values.file(),
        default="",
        default_text="standard error",
        help="File for the log; new messages are appended.",
    ),
    RsplibOption(name="logquiet", group="Log and process", help="Log nothing."),
    RsplibOption(
        name="logcolor",
        group="Log and process",
        value=values.colour(),
        default=True,
        default_text="on",
        help="Use colours in the log.",
    ),
    RsplibOption(name="quiet", group="Log and process", help="Print neither parameters nor progress."),
    RsplibOption(
        name="daemonpidfile",
        group="Log and process",
        value=values.file(),
        default="",
        help="Run in the background and write the process ID into this file. The program returns once the registrar "
        "serves or has failed to start.",
    ),
    RsplibOption(
        name="uptime",
        group="Log and process",
        value=values.seconds(0),
        default=0.0,
        default_text="0",
        help="Failure test: the registrar stops after a random time with this mean (exponential distribution), and "
        "starts again after the downtime. 0 turns the test off.",
    ),
    RsplibOption(
        name="downtime",
        group="Log and process",
        value=values.seconds(0),
        default=0.0,
        default_text="0",
        help="Failure test: mean of the random time between stop and start.",
    ),
    RsplibOption(name="help", group="Log and process", help="Print the options and exit."),
)

OPTIONS: tuple[RsplibOption, ...] = (*IDENTITY, *ASAP, *ENRP, *REPORTS, *PROCESS)
BY_NAME: Mapping[str, RsplibOption] = {option.name: option for option in OPTIONS}
RENAMED = {"enrpmulticast": "enrpannounce"}
"""Former names of options, and their present names."""


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """The values of the given options, by name. If an option is repeated the last value counts; a repeatable option has
    a tuple of all values. Raises ArgumentError."""
    found: dict[str, object] = {}
    for argument in arguments:
        name, equals, written = argument.removeprefix("--").removeprefix("-").partition("=")
        option = BY_NAME.get(name)
        if option is None or not argument.startswith("-") or bool(equals) != (option.value is not None):
            raise ArgumentError(f"bad argument {argument!r}")
        value: object = True
        if option.value is not None:
            try:
                value = option.value.read(written)
            except ValueError as error:
                raise ArgumentError(f"bad argument {argument!r}: {error}") from None
        if option.repeatable:
            earlier = found.get(option.name, ())
            assert isinstance(earlier, tuple)
            value = (*earlier, value)
        found[RENAMED.get(option.name, option.name)] = value
    return found


def usage() -> str:
    """The help text: all options by group."""
    lines = [f"Usage: {PROGRAM} [option]..."]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        lines += ["", f"{group}:"]
        for option in OPTIONS:
            if option.group == group:
                lines += [f"  {option.usage}", f"      {describe(option)}"]
    return "\n".join(lines) + "\n"


def describe(option: RsplibOption) -> str:
    """An option's help text, range and default."""
    parts = [option.help]
    if option.range_text:
        parts.append(f"Range: {option.range_text}.")
    if option.default_text:
        parts.append(f"Default: {option.default_text}.")
    return " ".join(parts)
