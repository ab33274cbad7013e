"""Every case of bench.cases; run by ``python -m bench.wall``."""

import gc
from typing import Any

import pytest

from bench.cases import Case, all_cases
from bench.wall import CALLS

ROUNDS = 15


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_case(case: Case, benchmark: Any) -> None:
    subject = case.make()
    steps = {"setup": lambda: subject.prepare(CALLS), "teardown": lambda: subject.clean(CALLS)}
    gc.collect()
    gc.disable()
    try:
        benchmark.pedantic(lambda: subject.run(CALLS), **steps, rounds=ROUNDS, warmup_rounds=1)
    finally:
        gc.enable()
