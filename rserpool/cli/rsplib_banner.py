"""The text that rspregistrar prints at its start: the parameters in force, with rsplib's labels."""

from collections.abc import Sequence

from rserpool.cli.rsplib_config import UNLIMITED, ProcessOptions
from rserpool.model.addresses import Scope
from rserpool.registrar.config import Config
from rserpool.settings.locator import parse_addresses
from rserpool.settings.registrar import Settings
from rserpool.transport.interface import Tuning

VERSION = "1.00"
"""The version that every release of rsplib's registrar prints; scripts may compare it."""
TITLE = f"RSerPool Registrar - Version {VERSION}"
SCOPE_NAMES = {Scope.LOOPBACK: "loopback", Scope.SITE_LOCAL: "site-local", Scope.GLOBAL: "global"}

Row = tuple[str, str]


def banner(config: Config, process: ProcessOptions) -> str:
    """The whole text, ending in an empty line."""
    settings = config.settings
    lines = [TITLE, "=" * len(TITLE), ""]
    lines += aligned(general(config, process), 24)
    for heading, rows in (
        ("ASAP", asap(settings)),
        ("ENRP", enrp(settings)),
        ("Security", security(settings)),
    ):
        if heading == "ASAP":
            lines.append("")
        lines += [f"{heading} Parameters:", *(f"   {line}" for line in aligned(rows, 45))]
    return "\n".join(lines) + "\n"


def aligned(rows: Sequence[Row], width: int) -> list[str]:
    return [f"{label + ':':{width}}{value}" for label, value in rows]


def general(config: Config, process: ProcessOptions) -> list[Row]:
    server, settings = config.server, config.settings
    rows = [
        ("Server ID", f"${settings.identifier:08x}"),
        ("ASAP Address", where(server.asap, "SCTP")),
        ("ENRP Address", where(server.enrp, "SCTP")),
        ("ASAP Announce Address", where(server.announce, "UDP")),
        ("ENRP Announce Address", where(server.enrp_announce, "UDP")),
        ("ASAP/ENRP Announce TTL", str(server.announce_ttl)),
    ]
    if server.csp_interval:
        rows += [("CSP Report Address", server.csp_server), ("CSP Report Interval", ms(server.csp_interval))]
    rows += [
        ("Auto-Close Timeout", f"{server.idle_timeout:g}s"),
        ("Min Address Scope", SCOPE_NAMES[settings.address_scope]),
    ]
    if server.stats_file:
        rows.append(("Statistics Interval", ms(server.stats_interval) if server.stats_interval else "(at the end)"))
    if server.action_log_file:
        rows.append(("Action Log File", "active"))
    if server.scalar_file:
        rows += [("Scalar File", server.scalar_file), ("Object ID", server.object_name)]
    return [*rows, ("Daemon Mode", process.daemon_pid_file or "off")]


def asap(settings: Settings) -> list[Row]:
    return [
        ("Distance Step", ms(settings.distance_step)),
        ("Max Bad PE Reports", str(settings.profile.bad_reports + 1)),
        ("Server Announce Cycle", ms(settings.announce_interval)),
        ("Endpoint Monitoring SCTP Heartbeat Interval", ms(Tuning().heartbeat)),
        ("Endpoint Keep Alive Transmission Interval", ms(settings.keep_alive_interval)),
        ("Endpoint Keep Alive Timeout Interval", ms(settings.keep_alive_timeout)),
        ("Max Increment", str(settings.max_increment)),
        ("Max Handle Resolution Items (MaxHResItems)", items(settings.profile.default_items)),
    ]


def enrp(settings: Settings) -> list[Row]:
    return [
        ("Peer Heartbeat Cycle", ms(settings.heartbeat)),
        ("Peer Max Time Last Heard", ms(settings.last_heard)),
        ("Peer Max Time No Response", ms(settings.max_time_no_response)),
        ("Max Elements per Handle Table Request", str(settings.max_table_elements)),
        ("Mentor Hunt Timeout", ms(settings.mentor_discovery_timeout)),
        ("Takeover Expiry Interval", ms(settings.takeover_expiry)),
        ("Support for Takeover Suggestion", "on" if settings.takeover_suggestions else "off"),
    ]


def security(settings: Settings) -> list[Row]:
    return [
        ("Max Handle Resolution Rate", rate(settings.limits.resolution_rate)),
        ("Max Endpoint Unreachable Rate", rate(settings.limits.report_rate)),
    ]


def where(entries: Sequence[str], protocol: str) -> str:
    """``{address, address} port/protocol`` for each port."""
    by_port: dict[int, list[str]] = {}
    for host, port in parse_addresses(entries, 0):
        by_port.setdefault(port, []).append(host)
    return ", ".join(f"{{{', '.join(hosts)}}} {port}/{protocol}" for port, hosts in by_port.items()) or "(none)"


def ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def items(number: int) -> str:
    return "all" if number == 0xFFFFFFFF else str(number)


def rate(number: float) -> str:
    return "unlimited" if number == UNLIMITED else f"{number:.2f} requests/s"
