"""Generates documents from the lists of options: ``python -m ci.documents`` writes them.

rspregistrar's options become its manual page and shell completion in share/, the registrar's become docs/options.md.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from rserpool._version import __version__
from rserpool.cli.rsplib_options import OPTIONS, PROGRAM, RENAMED, RsplibOption
from rserpool.registrar.config import OPTIONS as REGISTRAR_OPTIONS
from rserpool.settings.schema import Option

ROOT = Path(__file__).resolve().parents[1]

DESCRIPTION = """\
.B rspregistrar
is a pool registrar of Reliable Server Pooling (RFC 5351 to 5356) and a drop-in replacement for rsplib's registrar: it
accepts the same options, writes the same files, and works with rsplib's pool elements, pool users and registrars.
Pool elements register with it over ASAP, pool users ask it for the elements of a pool, and registrars share one
handlespace over ENRP.
.PP
Write an option as
.BI \\- name = value\\fR,
without spaces. A number out of range is replaced by the nearest one in range. An address is an IPv4 address, an IPv6
address (in brackets if a port follows), or a host name. A mistake is reported in one line on standard error, with exit
status 1.
"""
TAIL = """\
.SH SIGNALS
.TP
.BR SIGINT ", " SIGTERM
Stop in order. A second signal, two seconds or more after the first, kills the process at once.
.TP
.B SIGHUP
Ignored with
.BR \\-daemonpidfile .
.SH ENVIRONMENT
.TP
.B CSP_SERVER
Receiver of status reports if
.B \\-cspserver
is not given.
.TP
.B CSP_INTERVAL
Milliseconds between two status reports, at least 250, if
.B \\-cspinterval
is not given.
.TP
.B NOTIFY_SOCKET
Socket of the service manager that is notified when the registrar serves and when it stops; see
.BR sd_notify (3).
.SH EXIT STATUS
0 after an orderly stop; 1 after a mistake in the options, or if an address or a file cannot be used.
.SH FILES
The statistics, action log and scalar files have rsplib's columns. In the first two, the first line names the columns
and each further line begins with its number.
.SH EXAMPLES
A registrar in the background, as an init script starts it:
.PP
.EX
rspregistrar \\-quiet \\-daemonpidfile=/run/rspregistrar.pid \\-logfile=/var/log/rspregistrar.log \\-loglevel=3
.EE
.PP
Two registrars that know each other without multicast:
.PP
.EX
rspregistrar \\-asap=10.0.0.1:3863 \\-enrp=10.0.0.1:9901 \\-peer=10.0.0.2:9901 \\-enrpannounce=off
rspregistrar \\-asap=10.0.0.2:3863 \\-enrp=10.0.0.2:9901 \\-peer=10.0.0.1:9901 \\-enrpannounce=off
.EE
.SH SEE ALSO
.BR cspmonitor (1)
"""
UNIT = """\
[Unit]
Description=Pool registrar of Reliable Server Pooling
Documentation=man:rspregistrar(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
# Without kernel SCTP the registrar serves over UDP. Only this command runs with privileges.
ExecStartPre=-+modprobe -q sctp
ExecStart=rspregistrar -quiet -loglevel=3 -logcolor=off $OPTIONS
EnvironmentFile=-/etc/default/rspregistrar
KillSignal=SIGINT
TimeoutStopSec=60
Restart=on-failure
RestartSec=5

DynamicUser=yes
LogsDirectory=rspregistrar
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def roff(text: str) -> str:
    """Escape text for troff, so that hyphens stay hyphens and no line is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in ".'" else escaped


def entry(option: RsplibOption) -> str:
    """The manual page's paragraph for an option."""
    head = f"\\fB\\-{roff(option.name)}\\fR"
    if option.value is not None:
        metavar = option.value.metavar
        head += f"=\\fI{roff(metavar)}\\fR"
    lines = [".TP", head, roff(option.help)]
    if option.range_text:
        lines.append(f"Range: {roff(option.range_text)}.")
    if option.default_text:
        lines.append(f"Default: {roff(option.default_text)}.")
    if option.repeatable:
        lines.append("May be given several times.")
    return "\n".join(lines)


def man_page() -> str:
    """The manual page of rspregistrar."""
    parts = [
        f'.TH RSPREGISTRAR 1 "" "rserpool {__version__}" "Reliable Server Pooling"',
        ".SH NAME",
        "rspregistrar \\- pool registrar of Reliable Server Pooling",
        ".SH SYNOPSIS",
        ".B rspregistrar",
        ".RI [ option ]...",
        ".SH DESCRIPTION",
        DESCRIPTION.rstrip(),
        ".SH OPTIONS",
    ]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        parts.append(f".SS {group}")
        parts += [entry(option) for option in OPTIONS if option.group == group]
    return "\n".join([*parts, TAIL])


def completion() -> str:
    """The bash completion of rspregistrar."""
    shown = [option for option in OPTIONS if option.name not in RENAMED]
    names = " ".join(f"-{option.name}{'=' if option.value else ''}" for option in shown)
    files = "|".join(f"-{option.name}" for option in shown if option.value and option.value.is_file)
    worded = [option for option in shown if option.value and option.value.words]
    cases = "\n".join(
        f"        -{option.name})\n"
        f"            mapfile -t COMPREPLY < <(compgen -W '{' '.join(option.value.words)}' -- \"$value\") ;;"
        for option in worded
        if option.value
    )
    return f"""\
# bash completion of {PROGRAM}                                -*- shell-script -*-

_{PROGRAM}() {{
    local line=${{COMP_LINE:0:COMP_POINT}}
    local word=${{line##*[[:space:]]}}
    local option=${{word%%=*}} value=${{word#*=}}
    COMPREPLY=()
    if [[ $word != *=* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$word")
        [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
        return
    fi
    case $option in
        {files})
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$value") ;;
{cases}
    esac
}}

complete -F _{PROGRAM} {PROGRAM}
"""


def unit() -> str:
    """The systemd unit of rspregistrar."""
    return UNIT


OPTIONS_INTRODUCTION = """\
# Options of `rserpool registrar`

This page is generated from the settings classes by `python -m ci.documents`.

Each option can be set in four ways; a later one in this list overrides an earlier one:

1. the default,
2. a TOML file, `rserpool registrar --config=FILE`, under the section and key shown (`--print-config` prints one),
3. an environment variable,
4. a flag, `--flag=VALUE`.

`rserpool.Registrar`, the registrar inside a program, accepts the flags' names with underscores as keyword arguments:
`Registrar(keep_alive_interval=2)`. It has no `log_level`, `uvloop` and `moderation`; those belong to the program.
"""
SECTION_TITLES = {
    "registrar": "## `[registrar]`: the process and the protocols",
    "limits": "## `[limits]`: bounds on everything that others can make grow",
}


def option_row(option: Option) -> str:
    """The table row of one option."""
    names = f"`{option.flag}`<br>`{option.field}`<br>`{option.environment}`"
    default = f"`{option.default_text}`" if option.default_text else "none"
    cells = (names, option.metavar.lower().replace("_", " "), default.replace(",", ", "), option.help)
    return "| " + " | ".join(cell.replace("``", "`").replace("|", "\\|") for cell in cells) + " |"


def options_page() -> str:
    """The page of all options of ``rserpool registrar``."""
    lines = [OPTIONS_INTRODUCTION]
    for section, title in SECTION_TITLES.items():
        lines += [title, "", "| Flag, TOML key, environment | Value | Default | Effect |", "|---|---|---|---|"]
        lines += [option_row(option) for option in REGISTRAR_OPTIONS if option.section == section]
        lines.append("")
    return "\n".join(lines)


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "share/man/man1/rspregistrar.1": man_page,
    "share/bash-completion/completions/rspregistrar": completion,
    "share/systemd/rspregistrar.service": unit,
    "docs/options.md": options_page,
}


def main() -> None:
    """Write all documents."""
    for name, generate in DOCUMENTS.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generate(), encoding="utf-8")


if __name__ == "__main__":
    main()
