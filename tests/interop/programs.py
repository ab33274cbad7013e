"""Inside the guest: elements and users written with the library (application.py), and the events that they have
printed."""

import itertools
import json
import sys
from typing import Any

from tests.interop.network import Network, Program, wait_until


class Application:
    """One running program of application.py."""

    def __init__(
        self, net: Network, host: int, role: str, service: str, pool: str, *options: str, tag: str = ""
    ) -> None:
        command = [sys.executable, "-m", "tests.interop.application", role, service, f"--pool={pool}", *options]
        self.program: Program = net.start(tag or f"{role}{host}-{service}", host, command)

    def events(self, what: str) -> list[dict[str, Any]]:
        """All events of one kind so far, oldest first."""
        found = []
        for line in self.program.output.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                record = json.loads(line)
                if record["what"] == what:
                    found.append(record)
        return found

    def wait_events(self, what: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait for ``count`` events of one kind. TimeoutError with the program's last output."""
        try:
            wait_until(lambda: len(self.events(what)) >= count, f"{count} of {what!r}", seconds, every=0.02)
        except TimeoutError as error:
            raise TimeoutError(f"{error} from {self.program.tag}:\n{self.program.text()[-2000:]}") from None
        return self.events(what)

    def more(self, what: str, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait for ``count`` further events of one kind."""
        before = len(self.events(what))
        return self.wait_events(what, before + count, seconds)[before:]

    def served_by(self) -> int:
        """Identifier of the element that sent the last answer."""
        return int(self.events("answer")[-1]["element"])


def element(net: Network, host: int, identifier: int, service: str, pool: str, *options: str) -> Application:
    """Start an element of ours and wait until it is registered."""
    tag = f"pe{identifier:x}-{len(net.programs)}"
    made = Application(net, host, "pe", service, pool, f"--identifier={identifier}", *options, tag=tag)
    made.wait_events("registered")
    return made


def user(net: Network, host: int, service: str, pool: str, *options: str) -> Application:
    """Start a user of ours and wait for its first answer."""
    made = Application(net, host, "pu", service, pool, *options, tag=f"pu{host}-{len(net.programs)}")
    made.wait_events("answer")
    return made


def longest_stall(answers: list[dict[str, Any]]) -> float:
    """Longest time between two answers, in seconds."""
    times = [answer["at"] for answer in answers]
    return max((round(later - earlier, 3) for earlier, later in itertools.pairwise(times)), default=0.0)


def gaps(answers: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Places where reply numbers are not consecutive."""
    numbers = [answer["reply"] for answer in answers]
    return [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
