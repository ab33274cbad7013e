"""Both proxies with Python's http.server, as processes over libusrsctp on the loopback interface."""

import contextlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import HOST, PATIENCE, Process, registrar, rserpool, until

pytest.importorskip("rserpool._fast.io.usrsctp.socket", reason="libusrsctp-dev is missing (ci/setup)")
USRSCTP = "--transport=usrsctp"


class Web:
    """A web server without knowledge of pools. Its page contains its name."""

    def __init__(self, directory: Path, name: str) -> None:
        self.port = free_port()
        self.directory = directory / name
        self.directory.mkdir()
        (self.directory / "index.html").write_text(name)
        self.process: Process | None = None

    def start(self) -> None:
        command = ("-m", "http.server", "--bind", HOST, "--directory", str(self.directory), str(self.port))
        self.process = Process(sys.executable, *command)
        self.process.wait_for("Serving HTTP")

    def stop(self) -> None:
        if self.process is not None:
            with self.process:
                self.process.end(signal.SIGKILL)
        self.process = None


@pytest.fixture
def webs(tmp_path: Path) -> Iterator[tuple[Web, Web]]:
    made = Web(tmp_path, "one"), Web(tmp_path, "two")
    try:
        for web in made:
            web.start()
        yield made
    finally:
        for web in made:
            web.stop()


@contextlib.contextmanager
def front(where: str, *flags: str) -> Iterator[tuple[Process, str]]:
    with rserpool("proxy-pu", "--listen=127.0.0.1:0", "--pool=Web", f"--registrar={where}", USRSCTP, *flags) as proxy:
        port = proxy.wait_for(r"accepting clients of pool \S+ at 127.0.0.1 port (\d+)")[1]
        yield proxy, f"http://{HOST}:{port}/"


def back(where: str, port: int, *flags: str) -> Process:
    return rserpool("proxy-pe", "--pool=Web", f"--target={HOST}:{port}", f"--registrar={where}", USRSCTP, *flags)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        page: bytes = answer.read()
    return page.decode()


def test_a_legacy_service_with_failover(webs: tuple[Web, Web]) -> None:
    one, two = webs
    often = ("--check=http=/", "--interval=0.2", "--fall=1", "--rise=1", "--timeout=20")
    with (
        registrar() as (_, where),
        back(where, one.port, *often) as first,
        back(where, two.port, *often, "--identifier=0x22") as second,
        front(where, "--patience=30") as (proxy, url),
    ):
        first.wait_for("is registered in pool Web at 127.0.0.1 port")
        second.wait_for("0x00000022 is registered in pool Web")
        proxy.wait_for("pool Web has 2 elements")
        assert {fetch(url) for _ in range(4)} == {"one", "two"}
        two.stop()
        second.wait_for("the server is down: .*Connection refused")
        second.wait_for("0x00000022 is deregistered from pool Web")
        assert {fetch(url) for _ in range(4)} == {"one"}
        two.start()
        second.wait_for("0x00000022 is registered in pool Web", 2)
        until(lambda: fetch(url) == "two")
        proxy.send(signal.SIGUSR1)
        assert int(proxy.wait_for(r"counters: clients (\d+),")[1]) >= 9
        assert second.end() == 0
        assert re.search(r"stopped; checks \d+, checks failed \d+, deregistrations 2, registrations 2", second.log)
        assert proxy.end() == 0
        assert re.search(r"stopped; clients \d+,", proxy.log)
        assert first.end(signal.SIGINT) == 0


def test_clients_are_served_although_one_element_does_not_answer(webs: tuple[Web, Web]) -> None:
    one, two = webs
    two.stop()
    with (
        registrar() as (_, where),
        back(where, one.port, "--check=none") as first,
        back(where, two.port, "--check=none") as second,
        front(where) as (proxy, url),
    ):
        for process in (first, second):
            process.wait_for("is registered")
        proxy.wait_for("pool Web has 2 elements")
        assert {fetch(url) for _ in range(6)} == {"one"}
        assert re.search(r"element 0x[0-9a-f]{8} does not answer: 127.0.0.1 port \d+", proxy.log)


def test_a_pool_without_elements_resets_its_clients(webs: tuple[Web, Web]) -> None:
    with registrar() as (_, where), front(where, "--patience=0.1") as (proxy, url):
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            fetch(url)
        proxy.wait_for("client not served: the pool has no element")


def test_a_load_command_and_a_refusal(webs: tuple[Web, Web], tmp_path: Path) -> None:
    load = tmp_path / "load"
    load.write_text("25%")
    with registrar() as (home, where):
        with back(where, webs[0].port, f"--load-command=cat {load}", "--load-interval=0.1", "--identifier=7") as first:
            first.wait_for("is registered")
            command = [sys.executable, "-m", "rserpool.cli.main", "resolve", "Web", f"--registrar={where}"]

            def shown() -> str:
                return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

            until(lambda: shown() == f"0x00000007 tcp 127.0.0.1 {webs[0].port} least-used 0x40000000\n")
            load.write_text("0.5")
            until(lambda: "least-used 0x80000000" in shown())
            with back(where, webs[1].port, "--policy=random") as second:
                second.wait_for("the registrar refused the server: .*retrying in 30 s")
                assert second.end() == 0
            assert first.end() == 0
        home.send(signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1"), "--target: '127.0.0.1' has no port"),
        (("proxy-pe", "--pool=Web"), "--target"),
        (("proxy-pe", "--pool=", "--target=127.0.0.1:80"), "--pool"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--check=icmp"), "--check must be tcp"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--advertise=192.0.2.99"), "--advertise: 192.0.2.99"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--policy=luck"), "--policy: unknown policy 'luck'"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--policy=priority:x"), "--policy: 'x'"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--policy=random:1"), "--policy: random takes no values"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--policy=random", "--load-command=x"), "has no load"),
        (("proxy-pe", "--pool=Web", "--target=127.0.0.1:80", "--rise=0"), "rise must be more than 0, not 0"),
        (("proxy-pu", "--pool=Web", "--listen=web"), "--listen: 'web'"),
        (("proxy-pu", "--pool=Web", "--listen=8080", "--tries=many"), "--tries: expected a whole number, not 'many'"),
        (("proxy-pu", "--pool=Web", "--listen=8080", "--registrar=here"), "'here'"),
        (("proxy-pu", "--pool=Web", "--listen=192.0.2.99:0", "--registrar=127.0.0.1:9", USRSCTP), "192.0.2.99 port 0"),
    ],
)  # fmt: skip
def test_a_usage_error_prints_one_line_and_exits_with_status_1(arguments: tuple[str, ...], reason: str) -> None:
    with rserpool(*arguments) as process:
        assert process.process.wait(PATIENCE) == 1
        until(lambda: process.lines)
        lines = [line for line in process.lines if " INFO " not in line]
        assert len(lines) == 1
        assert reason in lines[0]
        assert lines[0].startswith(f"rserpool {arguments[0]}: ")


@pytest.mark.parametrize("command", ["proxy-pu", "proxy-pe"])
def test_help_shows_units_and_defaults(command: str) -> None:
    with rserpool(command, "--help") as process:
        assert process.end(signal.SIGCONT) == 0
        text = " ".join(process.log.split())
    options = re.findall(r"(--[a-z-]+) [A-Z|a-z]+ +", text.partition("options:")[2])
    assert len(options) >= 12
    assert text.count("Default: ") >= len(options) - 3
    assert "SECONDS" in text
