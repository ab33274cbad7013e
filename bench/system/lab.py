"""Requests a second of processor time over kernel SCTP, ours and rsplib's registrar in turn in one guest of the peer
lab: ``python -m bench.system.lab``."""

import json
import sys
from typing import Any

import pyximport

from tests.interop import guest

TIMEOUT = 240


def measure() -> list[dict[str, Any]]:
    """One record for each load. RuntimeError with the guest's last words if it did not get so far."""
    if why := guest.lacking("rspregistrar"):
        raise SystemExit(f"bench.system.lab: {why}")
    # Compiled here: the guest has no compiler, and the same files.
    pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
    import bench.system.load  # noqa: F401

    command = [sys.executable, "-m", "bench.system.guest"]
    report = guest.run_command(command, "bench-system", timeout=TIMEOUT, memory="768M", dummies=0)
    found = [json.loads(line) for line in report.log.splitlines() if line.startswith('{"load"')]
    if len(found) != 2:
        raise RuntimeError(f"the guest ended with status {report.status}:\n{report.log[-3000:]}")
    return found


def lines() -> list[str]:
    """A table in Markdown."""
    table = ["| | ours | rsplib | ratio | p50 | p99 |", "|---|---|---|---|---|---|"]
    for record in measure():
        ours, theirs = record["ours"], record["rsplib"]
        ratio = ours["rate"] / theirs["rate"]
        table.append(
            f"| {record['load']} | {ours['rate']:.0f}/s | {theirs['rate']:.0f}/s | {ratio:.2f} | "
            f"{ours['p50'] * 1e3:.2f} / {theirs['p50'] * 1e3:.2f} ms | "
            f"{ours['p99'] * 1e3:.2f} / {theirs['p99'] * 1e3:.2f} ms |"
        )
    return table


if __name__ == "__main__":
    print(*lines(), sep="\n")
