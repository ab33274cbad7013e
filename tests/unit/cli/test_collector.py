"""What the garbage collector is told when a registrar's program begins."""

import gc

from rserpool.cli.collector import YOUNG, settle


def test_what_is_there_when_a_program_begins_is_not_looked_through_again() -> None:
    thresholds = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] == YOUNG
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
