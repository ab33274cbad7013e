"""Compares whole registrars with yardsticks, rsplib's registrar and other programs: ``python -m bench.system [part]...
[--write]``.

Runs the given parts, or all. ``--write`` stores the results in bench/results/system.md; parts that did not run keep
their earlier results. A part is a function that returns lines of Markdown, or a pair: these lines and a dict of figures
by the number of their target in report.TARGETS.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from bench import ratios
from bench.system import alternatives, associations, grid, handover, instruments, lab, large, report, requests
from bench.system.plot import scaled
from bench.system.report import Outcome
from bench.system.takeover import download, renewals, takeover


def mirrored() -> list[str]:
    """Measure takeover, download and re-registration in virtual time."""
    rows = [row for measure in (takeover, download, renewals) for row in measure()]
    return ["| | virtual time | CPU time | |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


PARTS: dict[str, tuple[str, Callable[[], Outcome]]] = {
    "calls": ("Calls, compared with rsplib's library", ratios.lines),
    "scale": ("Cost by the number of elements", scaled),
    "tcp": ("Resolutions over TCP per second of processor time, compared with uvloop's echo", requests.lines),
    "instruments": (
        "Resolutions over TCP per second of processor time, with and without instruments",
        instruments.lines,
    ),
    "usrsctp": (
        "Resolutions over usrsctp per second of processor time, compared with an echo server",
        associations.lines,
    ),
    "kernel": (
        "Over kernel SCTP in the peer lab, requests per second of processor time, compared with rsplib's registrar",
        lab.lines,
    ),
    "grid": ("3 000 elements re-registering 4 times and 2 000 users asking 10 times per second, together", grid.lines),
    "large": ("A re-registration among a million elements, and among a thousand", large.lines),
    "alternatives": ("Redis and etcd: 3 of 10 000 elements", alternatives.lines),
    "handover": ("Download and takeover over loopback, with resolutions during the takeover", handover.lines),
    "mirror": ("Takeover, download and re-registration in virtual time", mirrored),
}


def end(*_: object) -> NoReturn:
    """Exit at SIGTERM. The servers that were started end with it."""
    sys.exit(143)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.system", description=__doc__.partition("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="write the result to bench/results/system.md")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, end)
    failed = []
    chosen = options.parts or list(PARTS)
    for number, name in enumerate(chosen, 1):
        title, measure = PARTS[name]
        print(f"bench.system: {name}, {number} of {len(chosen)}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            outcome = measure()
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code == 143:
                raise
            print(f"bench.system: {name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        found = report.entry(title, outcome)
        print("", f"## {title}", "", *found["lines"], "", sep="\n", flush=True)
        print(f"bench.system: {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if options.write:
            report.write({name: found}, list(PARTS))
    if failed:
        print(f"bench.system: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
