"""CPU time per call with pytest-benchmark."""

import time

CALLS = 500
"""Calls of one round."""


def seconds_per_call() -> float:
    """pytest-benchmark's timer: neighbours on the machine do not count, and a round shows as one call."""
    return time.thread_time() / CALLS
