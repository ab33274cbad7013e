"""Fixtures of the transport tests, which run over the back end of --transport or RSERPOOL_TEST_TRANSPORT, or all."""

import asyncio
import os
import resource
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import uvloop

from rserpool.transport.choose import kernel_has_sctp

BACK_ENDS = ("memory", "usrsctp", "kernel", "tcp")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

Run = Callable[[Coroutine[object, object, None]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--transport", choices=BACK_ENDS, help="run the transport tests over this back end only")


def chosen(config: pytest.Config) -> str | None:
    return config.getoption("--transport", default=None) or os.environ.get("RSERPOOL_TEST_TRANSPORT")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "back_end" in metafunc.fixturenames:
        metafunc.parametrize("back_end", BACK_ENDS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = chosen(config)
    no_kernel = pytest.mark.skip(reason="this kernel has no SCTP (runs in the lab)")
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        back_end = getattr(item, "callspec", None) and item.callspec.params.get("back_end")  # type: ignore[attr-defined]
        if only and back_end != only and (back_end or not item.get_closest_marker(f"needs_{only}")):
            item.add_marker(pytest.mark.skip(reason=f"only {only} was asked for"))
        elif (back_end == "kernel" or item.get_closest_marker("needs_kernel")) and not kernel_has_sctp():
            item.add_marker(no_kernel)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_kernel: the test needs SCTP in the kernel")
    for back_end in BACK_ENDS:
        if back_end != "kernel":
            config.addinivalue_line("markers", f"needs_{back_end}: the test is about this back end only")


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on each kind of loop; fail if the loop's exception handler is called."""

    def run(main: Coroutine[object, object, None]) -> None:
        failures: list[object] = []
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.get_loop().set_exception_handler(lambda loop, context: failures.append(context))
            runner.run(main)
        assert not failures

    return run
