"""The one list of rspregistrar's options: parser, usage, manual page, completion and tests follow from it.

Names, units, ranges and defaults are rsplib's. ``keys`` names the options of ``rserpool registrar``, and of its TOML
file, that set the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rserpool.cli import rsplib_values as values
from rserpool.cli.rsplib_values import ArgumentError, Value, Where
from rserpool.model.addresses import Scope
from rserpool.model.numbers import CSP_PORT
from rserpool.registrar.config import TRANSPORTS
from rserpool.settings.profile import PROFILES

PROGRAM = "rspregistrar"
ASAP_GROUP = Where(("239.0.0.50",), 3863)
ENRP_GROUP = Where(("239.0.0.51",), 9901)
MAX_LOG_LEVEL = 9
SCOPES = {"loopback": Scope.LOOPBACK, "sitelocal": Scope.SITE_LOCAL, "global": Scope.GLOBAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. Without a value it is a switch."""

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
        """As it stands on a command line."""
        return f"-{self.name}" + (f"={self.value.metavar}" if self.value else "")

    @property
    def range_text(self) -> str:
        """The range of its value, an empty text where there is none."""
        if self.value is None or self.value.lowest is None:
            return ""
        lowest = f"{self.value.lowest:g}"
        if self.value.highest is None:
            return f"at least {lowest}"
        return f"{lowest} to {self.value.highest:.0f}"


def timer(name: str, group: str, default: int, value: Value, key: str, help_text: str) -> Option:
    """An option in milliseconds."""
    return Option(
        name=name,
        group=group,
        value=value,
        default=default / 1000,
        default_text=str(default),
        keys=(key,),
        help=help_text,
    )


IDENTITY = (
    Option(
        name="identifier",
        group="Identity and addresses",
        value=values.identifier(),
        default=0,
        default_text="0",
        keys=("identifier",),
        help="The registrar's server identifier, decimal or after 0x hexadecimal. 0 means a random one.",
    ),
    Option(
        name="asap",
        group="Identity and addresses",
        value=values.endpoint(),
        default=values.AUTO,
        default_text="auto",
        keys=("asap",),
        help="Where pool elements and pool users are served over SCTP. auto means all addresses of this host that "
        "reach far enough, and a random port from 10000 to 59999. The first address's port is that of all; without "
        "one it is random.",
    ),
    Option(
        name="asapannounce",
        group="Identity and addresses",
        value=values.group(ASAP_GROUP),
        default=ASAP_GROUP,
        default_text="auto",
        keys=("announce",),
        help="The multicast group in which the registrar announces itself, port 3863 unless said otherwise. auto "
        "means 239.0.0.50, and with the profile rfc the groups of the IANA as well; off and none mean no "
        "announcements.",
    ),
    Option(
        name="enrp",
        group="Identity and addresses",
        value=values.endpoint(),
        default=values.AUTO,
        default_text="auto",
        keys=("enrp",),
        help="Where other registrars are met over SCTP; as -asap.",
    ),
    Option(
        name="enrpannounce",
        group="Identity and addresses",
        value=values.group(ENRP_GROUP),
        default=ENRP_GROUP,
        default_text="auto",
        keys=("enrp_announce",),
        help="The multicast group through which registrars find one another, port 9901 unless said otherwise. auto "
        "means 239.0.0.51; off and none mean that only -peer finds them.",
    ),
    Option(
        name="enrpmulticast",
        group="Identity and addresses",
        value=values.group(ENRP_GROUP),
        default=ENRP_GROUP,
        default_text="auto",
        keys=("enrp_announce",),
        help="An older name of -enrpannounce.",
    ),
    Option(
        name="peer",
        group="Identity and addresses",
        value=values.peer(9901),
        default=(),
        keys=("peer",),
        repeatable=True,
        help="The ENRP addresses of another registrar, port 9901 unless said otherwise. The option may be given once "
        "for each of them.",
    ),
    Option(
        name="announcettl",
        group="Identity and addresses",
        value=values.count(1, 255, "hops"),
        default=30,
        default_text="30",
        keys=("announce_ttl",),
        help="How many hops announcements and multicast presences travel.",
    ),
    Option(
        name="disable-ipv6",
        group="Identity and addresses",
        help="With auto addresses, use IPv4 only.",
    ),
    Option(
        name="minaddressscope",
        group="Identity and addresses",
        value=values.word(SCOPES),
        default=Scope.SITE_LOCAL,
        default_text="sitelocal",
        keys=("address_scope",),
        help="The least reach of an address at which the registrar serves and which may be registered. With loopback, "
        "pools work on this machine only.",
    ),
    Option(
        name="transport",
        group="Identity and addresses",
        value=values.word(TRANSPORTS),
        default="auto",
        default_text="auto",
        keys=("transport",),
        help="Where SCTP comes from: the kernel, or libusrsctp over UDP, whose port is that of SCTP. auto prefers "
        "the kernel. rsplib's programs need the kernel's.",
    ),
    Option(
        name="profile",
        group="Identity and addresses",
        value=values.word(PROFILES),
        default=PROFILES["rsplib"],
        default_text="rsplib",
        keys=("profile",),
        help="The dialect: rsplib's, or that of the RFCs, whose timers then are the defaults. All registrars of a "
        "scope speak the same.",
    ),
)
ASAP = (
    timer(
        "serverannouncecycle",
        "ASAP",
        1000,
        values.milliseconds(100, 60_000),
        "announce_interval",
        "The time between two announcements.",
    ),
    timer(
        "endpointkeepalivetransmissioninterval",
        "ASAP",
        5000,
        values.milliseconds(300, 300_000),
        "keep_alive_interval",
        "The mean time between a pool element's acknowledgement and the next keep-alive.",
    ),
    timer(
        "endpointkeepalivetimeoutinterval",
        "ASAP",
        5000,
        values.milliseconds(100, 60_000),
        "keep_alive_timeout",
        "The time within which a pool element must acknowledge a keep-alive, or it is removed.",
    ),
    Option(
        name="maxbadpereports",
        group="ASAP",
        value=values.count(1, metavar="reports"),
        default=3,
        default_text="3",
        keys=("max_bad_reports",),
        help="Reports of a pool element as unreachable at which it is removed.",
    ),
    Option(
        name="maxhresitems",
        group="ASAP",
        value=values.count(1, metavar="elements"),
        default=3,
        default_text="3",
        keys=("max_items",),
        help="Pool elements in the answer to a user that does not say how many it wants.",
    ),
    Option(
        name="maxincrement",
        group="ASAP",
        value=values.count(0, metavar="elements"),
        default=0,
        default_text="0",
        keys=("max_increment",),
        help="How many of an answer's pool elements count as used. 0 means what suits the policy.",
    ),
    timer(
        "distancestep",
        "ASAP",
        50,
        values.milliseconds(1),
        "distance_step",
        "The unit in which the delay-penalty policies measure distances; they are rounded to multiples of it.",
    ),
    Option(
        name="autoclosetimeout",
        group="ASAP",
        value=values.seconds(5),
        default=300.0,
        default_text="300",
        keys=("idle_timeout",),
        help="The time after which an association is closed over which no message came or went.",
    ),
    Option(
        name="maxhrrate",
        group="ASAP",
        value=values.rate(),
        default=0.0,
        default_text="-1",
        keys=("limit_resolution_rate", "limit_resolution_burst"),
        help="Handle resolutions per second that a pool user may ask for. Not more than 0 means no limit.",
    ),
    Option(
        name="maxeurate",
        group="ASAP",
        value=values.rate(),
        default=0.0,
        default_text="-1",
        keys=("limit_report_rate",),
        help="Reports of unreachable pool elements per second that count from a pool user. Not more than 0 means no "
        "limit.",
    ),
)
ENRP = (
    timer(
        "peerheartbeatcycle",
        "ENRP",
        2444,
        values.milliseconds(1000, 300_000),
        "peer_heartbeat_cycle",
        "The time between two presences to the other registrars.",
    ),
    timer(
        "peermaxtimelastheard",
        "ENRP",
        5000,
        values.milliseconds(1000, 300_000),
        "max_time_last_heard",
        "The silence after which another registrar is asked for a sign of life.",
    ),
    timer(
        "peermaxtimenoresponse",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "max_time_no_response",
        "The time within which it must answer, or it is taken over.",
    ),
    timer(
        "mentordiscoverytimeout",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "mentor_discovery_timeout",
        "The time for which a starting registrar waits for another to learn the handlespace from.",
    ),
    timer(
        "takeoverexpiryinterval",
        "ENRP",
        5000,
        values.milliseconds(1000, 60_000),
        "takeover_expiry",
        "The time for which the other registrars' consent to a takeover is waited for.",
    ),
    Option(
        name="maxelementsperhtrequest",
        group="ENRP",
        value=values.count(1, 1024, "elements"),
        default=128,
        default_text="128",
        keys=("max_table_elements",),
        help="Pool elements in one part of a handle table.",
    ),
    Option(
        name="supporttakeoversuggestion",
        group="ENRP",
        keys=("takeover_suggestions",),
        help="Suggest to other registrars which pool elements to take over, and follow their suggestions.",
    ),
)
REPORTS = (
    Option(
        name="cspserver",
        group="Reports and statistics",
        value=values.address(CSP_PORT),
        default=None,
        keys=("csp_server",),
        help="Where status reports go over UDP, port 2960 unless said otherwise; rsplib's cspmonitor shows them. "
        "Without it, the environment variable CSP_SERVER counts, then 127.0.0.1.",
    ),
    Option(
        name="cspinterval",
        group="Reports and statistics",
        value=values.milliseconds(0),
        default=None,
        keys=("csp_interval",),
        help="The time between two status reports; 0 sends none. Without it, the environment variable "
        "CSP_INTERVAL counts (at least 250), then 250 if -cspserver is given, else 0.",
    ),
    Option(
        name="actionlogfile",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("action_log_file",),
        help="A file for a line about each message sent or received, compressed if its name ends in .bz2.",
    ),
    Option(
        name="statsfile",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("stats_file",),
        help="A file for statistics, compressed if its name ends in .bz2.",
    ),
    Option(
        name="statsinterval",
        group="Reports and statistics",
        value=values.milliseconds(10, 3_600_000),
        default=0.0,
        default_text="one line, at the end",
        keys=("stats_interval",),
        help="The time between two lines of the statistics.",
    ),
    Option(
        name="scalar",
        group="Reports and statistics",
        value=values.file(),
        default="",
        keys=("scalar_file",),
        help="A file for totals and averages, written at the end.",
    ),
    Option(
        name="object",
        group="Reports and statistics",
        value=values.text(),
        default="registrar",
        default_text="registrar",
        keys=("object_name",),
        help="What the registrar is called in the scalar file.",
    ),
)
PROCESS = (
    Option(
        name="loglevel",
        group="Log and process",
        value=values.count(0, MAX_LOG_LEVEL, "level"),
        default=1,
        default_text="1",
        keys=("log_level",),
        help="What is logged: 0 nothing, 1 errors, 2 warnings too, 3 and 4 what happens too, 5 to 9 everything.",
    ),
    Option(
        name="logfile",
        group="Log and process",
        value=values.file(),
        default="",
        default_text="standard error",
        help="A file for the log, made anew.",
    ),
    Option(
        name="logappend",
        group="Log and process",
        value=values.file(),
        default="",
        default_text="standard error",
        help="A file for the log, continued.",
    ),
    Option(name="logquiet", group="Log and process", help="Log nothing."),
    Option(
        name="logcolor",
        group="Log and process",
        value=values.colour(),
        default=True,
        default_text="on",
        help="Whether the log has colours.",
    ),
    Option(name="quiet", group="Log and process", help="Print neither parameters nor progress."),
    Option(
        name="daemonpidfile",
        group="Log and process",
        value=values.file(),
        default="",
        help="Run in the background, with the process number in this file. The program returns as soon as the "
        "registrar serves, or cannot.",
    ),
    Option(
        name="uptime",
        group="Log and process",
        value=values.seconds(0),
        default=0.0,
        default_text="0",
        help="Failure test: after a time that is random, exponentially distributed around this mean, the registrar "
        "stops, and starts again after the downtime. 0 turns it off.",
    ),
    Option(
        name="downtime",
        group="Log and process",
        value=values.seconds(0),
        default=0.0,
        default_text="0",
        help="Failure test: the mean time between stop and start, likewise random.",
    ),
    Option(name="help", group="Log and process", help="Print the options and end."),
)

OPTIONS: tuple[Option, ...] = (*IDENTITY, *ASAP, *ENRP, *REPORTS, *PROCESS)
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
SAME = {"enrpmulticast": "enrpannounce"}
"""Older names and what they are called now."""


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """The values of the options that are given, by name; of one given twice the last counts, a repeatable one is a
    tuple. Raises ArgumentError."""
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
        found[SAME.get(option.name, option.name)] = value
    return found


def usage() -> str:
    """All options with what they do, for the screen."""
    lines = [f"Usage: {PROGRAM} [option]..."]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        lines += ["", f"{group}:"]
        for option in OPTIONS:
            if option.group == group:
                lines += [f"  {option.usage}", f"      {described(option)}"]
    return "\n".join(lines) + "\n"


def described(option: Option) -> str:
    """What an option does, with range and default."""
    parts = [option.help]
    if option.range_text:
        parts.append(f"Range: {option.range_text}.")
    if option.default_text:
        parts.append(f"Default: {option.default_text}.")
    return " ".join(parts)
