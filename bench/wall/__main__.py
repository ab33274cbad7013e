"""Usage: python -m bench.wall [pattern]... [-- pytest-benchmark's options]

Prints CPU time per call of the cases whose names contain a pattern, or of all.
"""

import sys
from pathlib import Path

import pytest

OPTIONS = (
    "--benchmark-only",
    "--benchmark-timer=bench.wall.seconds_per_call",
    "--benchmark-columns=min,median,max",
    "--benchmark-sort=fullname",
    "-q",
    "--timeout=0",
)


def main() -> int:
    patterns, _, options = " ".join(sys.argv[1:]).partition("--")
    chosen = ["-k", " or ".join(patterns.split())] if patterns.strip() else []
    file = str(Path(__file__).with_name("test_cases.py"))
    return int(pytest.main([file, *OPTIONS, *chosen, *options.split()]))


if __name__ == "__main__":
    sys.exit(main())
