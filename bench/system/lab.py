"""Measures requests per second of processor time over kernel SCTP: our registrar, rsplib's registrar and an echo
server, in turn in one guest of the peer lab: ``python -m bench.system.lab``."""

import json
import sys
from typing import Any

import pyximport

from tests.interop import guest

TIMEOUT = 300
LOADS = 3
SERVERS = "ours", "rsplib", "echo"


def measure() -> list[dict[str, Any]]:
    """Return one record per load. RuntimeError with the end of the guest's log if the guest fails."""
    if why := guest.lacking("rspregistrar"):
        raise SystemExit(f"bench.system.lab: {why}")
    # Compile here: the guest sees the same files and has no compiler.
    pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
    import bench.system.load  # noqa: F401

    command = [sys.executable, "-m", "bench.system.guest"]
    report = guest.run_command(command, "bench-system", timeout=TIMEOUT, memory="768M", dummies=0)
    found = [json.loads(line) for line in report.log.splitlines() if line.startswith('{"load"')]
    if len(found) != LOADS:
        raise RuntimeError(f"the guest ended with status {report.status}:\n{report.log[-3000:]}")
    return found


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the figures for target 7."""
    many = []
    table = [
        "| | ours | rsplib | echo | ours / rsplib | ours / echo | p50 of ours / rsplib / echo | p99 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in measure():
        ours, theirs, echo = (record[name] for name in SERVERS)
        if "1 client" not in record["load"]:
            many.append(f"{ours['rate'] / theirs['rate']:.1f}")
        rates = " | ".join(f"{record[name]['rate']:.0f}/s" for name in SERVERS)
        delays = {key: " / ".join(f"{record[name][key] * 1e3:.2f}" for name in SERVERS) for key in ("p50", "p99")}
        table.append(
            f"| {record['load']} | {rates} | {ours['rate'] / theirs['rate']:.2f} | {ours['rate'] / echo['rate']:.2f} | "
            f"{delays['p50']} ms | {delays['p99']} ms |"
        )
    return table, {7: ", ".join(many)}


if __name__ == "__main__":
    print(*lines()[0], sep="\n")
