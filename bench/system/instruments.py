"""Measures the cost of the registrar's instruments: ``python -m bench.system instruments``.

Two registrars answer the same resolutions over TCP in turn; one of them writes statistics, scalars, action log and
debug log. The target is at most 5 % fewer answers per second of processor time.
"""

import tempfile
from pathlib import Path

from bench.system.requests import alternate, medians, populated

LEAST = 0.95
"""The least acceptable ratio of answers with instruments to answers without."""


def options(directory: Path) -> list[str]:
    """Return the options that switch on all instruments, with their files in a directory."""
    return [
        f"--stats-file={directory}/statistics",
        "--stats-interval=1",
        f"--scalar-file={directory}/scalars",
        f"--action-log-file={directory}/actions",
        "--log-level=debug",
    ]


def lines() -> list[str]:
    """Return a Markdown table."""
    table = [
        "| clients x outstanding requests | without | with all instruments | ratio | action log |",
        "|---|---|---|---|---|",
    ]
    for clients, outstanding in ((50, 1), (50, 8)):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            with populated() as plain, populated(*options(directory)) as observed:
                found = alternate({"without": plain, "with": observed}, clients, outstanding, 5, 1.0)
            megabytes = (directory / "actions").stat().st_size / 1e6
        without, observing = medians(found["without"]).rate, medians(found["with"]).rate
        table.append(
            f"| {clients} x {outstanding} | {without:.0f}/s | {observing:.0f}/s | {observing / without:.2f} | "
            f"{megabytes:.0f} MB |"
        )
    return [*table, "", f"Target: a ratio of {LEAST} or more."]


if __name__ == "__main__":
    print(*lines(), sep="\n")
