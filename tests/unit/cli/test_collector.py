"""The garbage collector's settings after a program has started."""

import gc

from rserpool.cli.collector import YOUNG, freeze_imports


def test_imported_objects_are_excluded_from_collection() -> None:
    thresholds = gc.get_threshold()
    try:
        freeze_imports()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] == YOUNG
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
