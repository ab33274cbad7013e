"""What may run at once where there are several workers: a guest of tests/interop beside others, since it has a network
of its own, but the tests on this host one after the other, since they share its ports and its time."""

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class Scheduling(LoadScopeScheduling):
    """Modules of tests/interop go to any worker, all else to one."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.startswith("tests/interop/") else "host"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)  # type: ignore[arg-type]
