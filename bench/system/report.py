"""Writes bench/results/system.md: a table of targets, then a section per part.

The measurements are stored in system.json next to it, so that a part can be measured again alone.
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rserpool import __version__

RESULTS = Path(__file__).resolve().parents[1] / "results"

Outcome = list[str] | tuple[list[str], dict[int, str]]
"""The result of a part: lines of Markdown, or a pair: these lines and the figures by the number of their target."""

TARGETS: dict[int, tuple[str, str, str]] = {
    1: ("register, re-register, deregister; 10 000 and 100 000 elements, least-used", "1.0 of rsplib's time", "0.6"),
    2: ("keep-alive acknowledgement, 100 000 timers armed", "0.5 of rsplib's time", "0.3"),
    3: (
        "resolve 3 of 10 000: least-used; round robin, random; weighted random",
        "1.0 of rsplib's time",
        "0.7; random ones 0.4",
    ),
    4: ("decode a registration; encode an answer of 3, a table of 50", "1.0 of rsplib's time", "0.5"),
    5: ("octets to octets: resolution, registration, re-registration", "1.0 of rsplib's time", "0.6"),
    6: ("TCP, 50 clients: resolutions per second of processor time", "0.7 of uvloop's echo", "0.85"),
    7: (
        "kernel SCTP in the lab: resolutions, re-registrations per second of processor time",
        "1.0 of rspregistrar's",
        "2",
    ),
    8: ("usrsctp, 1 000 associations: resolutions per second of processor time", "0.7 of its echo", "0.85"),
    9: (
        "3 000 elements re-registering 4 times, 2 000 users asking 10 times per second, on one core",
        "no loss, below 50 %",
        "5 times that load",
    ),
    10: ("1 000 000 elements with running timers: octets each", "600", "400, all under 1 GB"),
    11: ("cost at 1 000 000 over cost at 1 000: resolve, re-register", "4", "2"),
    12: (
        "10 000 elements taken over, downloaded; p99 of resolutions during the takeover",
        "150 ms each",
        "50 ms, 40 ms; 5 ms",
    ),
    13: ("one client, one core: p50, p99 of a resolution", "25, 60 us (echo: 14, 16)", "17, 25 us"),
}
"""The targets: measurement, least acceptable value, and aim."""


def processor() -> str:
    """Return the model of the processors, and their number."""
    try:
        words = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        words = []
    models = [line.partition(":")[2].strip() for line in words if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"


def commit() -> str:
    """Return the checked-out commit; empty outside a repository."""
    command = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return f" ({done.stdout.strip()})" if done.returncode == 0 else ""


def stamp() -> str:
    """Return version, date and machine."""
    day = datetime.now(UTC).date()
    return f"rserpool {__version__}{commit()}, {day}, {processor()}, Python {platform.python_version()}"


def entry(title: str, outcome: Outcome) -> dict[str, Any]:
    """Return the entry of a part in system.json."""
    lines, figures = outcome if isinstance(outcome, tuple) else (outcome, {})
    return {
        "title": title,
        "measured": stamp(),
        "lines": lines,
        "figures": {str(n): text for n, text in figures.items()},
    }


def targets(parts: dict[str, Any]) -> list[str]:
    """Return the table of targets with the figures of the parts."""
    table = ["| # | what | at least | aim | measured |", "|---|---|---|---|---|"]
    for number, row in TARGETS.items():
        found = [part["figures"][str(number)] for part in parts.values() if str(number) in part["figures"]]
        table.append(f"| {number} | {' | '.join(row)} | {'; '.join(found) or 'not yet'} |")
    return table


def document(parts: dict[str, Any]) -> str:
    """Return the text of system.md."""
    newest = stamp()
    lines = [f"# {newest}", "", "How to read and repeat this: [docs/performance.md](../../docs/performance.md).", ""]
    lines += ["## Targets", "", *targets(parts)]
    for part in parts.values():
        lines += ["", f"## {part['title']}", ""]
        if part["measured"] != newest:
            lines += [f"Measured with {part['measured']}.", ""]
        lines += part["lines"]
    return "\n".join(lines) + "\n"


def write(measured: dict[str, dict[str, Any]], order: list[str]) -> None:
    """Store these parts in place of their earlier results, and drop parts that no longer exist."""
    RESULTS.mkdir(exist_ok=True)
    store = RESULTS / "system.json"
    parts = json.loads(store.read_text()) if store.exists() else {}
    parts |= measured
    parts = {name: parts[name] for name in order if name in parts}
    store.write_text(json.dumps(parts, indent=1) + "\n")
    (RESULTS / "system.md").write_text(document(parts))
