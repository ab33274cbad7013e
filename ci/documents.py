"""The files of rspregistrar that follow from its list of options: ``python -m ci.documents`` writes them to share/."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rserpool._version import __version__
from rserpool.cli.rsplib_options import OPTIONS, PROGRAM, RENAMED, RsplibOption

ROOT = Path(__file__).resolve().parents[1]

DESCRIPTION = """\
.B rspregistrar
is a pool registrar of Reliable Server Pooling (RFC 5351 to 5356) that stands in the place of rsplib's: it takes the
same options and writes the same files, and elements, users and registrars of rsplib work with it.
Pool elements register with it over ASAP, pool users ask it for the elements of a pool, and registrars keep one
handlespace among them over ENRP.
.PP
An option is written
.BI \\- name = value\\fR,
without a space. A number beyond its range is taken as the nearest within it. An address is an IPv4 address, an IPv6
address, with a port in brackets, or a host name. A mistake is one line on standard error, and exit status 1.
"""
TAIL = """\
.SH SIGNALS
.TP
.BR SIGINT ", " SIGTERM
End in order. A second signal, two seconds or more after the first, ends the process at once.
.TP
.B SIGHUP
Ignored with
.BR \\-daemonpidfile .
.SH ENVIRONMENT
.TP
.B CSP_SERVER
Where status reports go, as
.BR \\-cspserver .
.TP
.B CSP_INTERVAL
The milliseconds between two of them, at least 250, as
.BR \\-cspinterval .
.TP
.B NOTIFY_SOCKET
Where the service manager waits to hear that the registrar serves; see
.BR sd_notify (3).
.SH EXIT STATUS
0 after an end in order, 1 after a mistake in the options or where an address or a file cannot be used.
.SH FILES
The statistics, the action log and the scalar file have rsplib's columns. Each line of the first two begins with its
number; their first line names the columns.
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
# Without the kernel's SCTP the registrar serves over UDP. Only this one command has privileges.
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
    """Text as troff source: hyphens of options stay hyphens, and no line is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in ".'" else escaped


def entry(option: RsplibOption) -> str:
    """The manual's paragraph of an option."""
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
    """The manual page."""
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
    """The completion for bash."""
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
    """The systemd unit."""
    return UNIT


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "share/man/man1/rspregistrar.1": man_page,
    "share/bash-completion/completions/rspregistrar": completion,
    "share/systemd/rspregistrar.service": unit,
}


def main() -> None:
    """Write all of them."""
    for name, made in DOCUMENTS.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
