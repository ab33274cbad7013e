"""Whole registrars beside yardsticks and rsplib's: ``python -m bench.system [part]... [--write]``.

Without parts all of them. ``--write`` keeps the tables in bench/results/system.md and a plot beside them.
"""

import argparse
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

from bench import ratios, scale
from bench.system import associations, grid, handover, lab, requests
from bench.system.takeover import download, renewals, takeover
from rserpool import __version__

RESULTS = Path(__file__).resolve().parents[1] / "results"
TIMES = (1.0, 2.0)
"""Multiples of the grid's load."""


def mirrored() -> list[str]:
    """Takeover, download, re-registration, in virtual time."""
    rows = [row for measure in (takeover, download, renewals) for row in measure()]
    return ["| | virtual time | CPU time | |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def scaled() -> list[str]:
    """The table and, where matplotlib is, the plot."""
    found = scale.points()
    lines = scale.table(found)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return lines
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    sizes = [one.elements for one in found]
    for name in ("resolve", "renew", "acknowledge"):
        axes.plot(sizes, [getattr(one, name) for one in found], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="pool elements", ylabel="ns of CPU time per message")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "elements.svg")
    return [*lines, "", "![cost by the number of elements](elements.svg)"]


def offered() -> list[str]:
    """A line for each multiple of the load."""
    return [f"- {grid.measure(times)}" for times in TIMES]


PARTS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "calls": ("Calls, beside rsplib's library", ratios.table),
    "scale": ("Cost by the number of elements", scaled),
    "tcp": ("Resolutions over TCP a second of processor time, beside uvloop's echo", requests.lines),
    "usrsctp": ("Resolutions over usrsctp a second of processor time, beside an echo over it", associations.lines),
    "kernel": ("Over kernel SCTP in the peer lab a second of processor time, beside rsplib's registrar", lab.lines),
    "grid": ("3 000 elements re-registering 4 times and 2 000 users asking 10 times a second, at once", offered),
    "handover": ("Download and takeover over loopback, and resolutions meanwhile", handover.lines),
    "mirror": ("Takeover and download", mirrored),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="keep the result in bench/results/system.md")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    kept = [f"# rserpool {__version__}, {date.today()}, Python {platform.python_version()}, {platform.machine()}"]
    for name in options.parts or PARTS:
        title, measure = PARTS[name]
        lines = ["", f"## {title}", "", *measure()]
        print(*lines, sep="\n", flush=True)
        kept += lines
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "system.md").write_text("\n".join(kept) + "\n")


if __name__ == "__main__":
    main()
