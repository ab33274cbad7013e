"""CPU time per call with pytest-benchmark."""

import time

CALLS = 500
"""Calls per round."""


def seconds_per_call() -> float:
    """Clock of pytest-benchmark. It ignores other load on the machine, and makes a round appear as one call."""
    return time.thread_time() / CALLS
