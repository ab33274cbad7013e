"""Distributes the tests to several workers. Guests of tests/interop run in parallel, because each has its own network.
The tests on this host run one after the other, because they share its ports and processors."""

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class Scheduling(LoadScopeScheduling):
    """Assigns modules of tests/interop to any worker, and all other tests to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.startswith("tests/interop/") else "host"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)  # type: ignore[arg-type]
