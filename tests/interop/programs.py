"""Inside the guest: elements and users written with the library (application.py), and what they have said so far."""

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

    def said(self, what: str) -> list[dict[str, Any]]:
        """All that it has said of a kind, oldest first."""
        found = []
        for line in self.program.output.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                record = json.loads(line)
                if record["what"] == what:
                    found.append(record)
        return found

    def wait_said(self, what: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Until it has said so many of a kind. TimeoutError with its last words."""
        try:
            wait_until(lambda: len(self.said(what)) >= count, f"{count} of {what!r}", seconds, every=0.02)
        except TimeoutError as error:
            raise TimeoutError(f"{error} from {self.program.tag}:\n{self.program.text()[-2000:]}") from None
        return self.said(what)

    def more(self, what: str, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """So many more of a kind than there are now."""
        before = len(self.said(what))
        return self.wait_said(what, before + count, seconds)[before:]

    def served_by(self) -> int:
        """The element that answered last."""
        return int(self.said("answer")[-1]["element"])


def element(net: Network, host: int, identifier: int, service: str, pool: str, *options: str) -> Application:
    """An element of ours, once it is registered."""
    tag = f"pe{identifier:x}-{len(net.programs)}"
    made = Application(net, host, "pe", service, pool, f"--identifier={identifier}", *options, tag=tag)
    made.wait_said("registered")
    return made


def user(net: Network, host: int, service: str, pool: str, *options: str) -> Application:
    """A user of ours, once it has been answered."""
    made = Application(net, host, "pu", service, pool, *options, tag=f"pu{host}-{len(net.programs)}")
    made.wait_said("answer")
    return made


def longest_stall(answers: list[dict[str, Any]]) -> float:
    """The most seconds between two answers."""
    times = [answer["at"] for answer in answers]
    return max((round(later - earlier, 3) for earlier, later in itertools.pairwise(times)), default=0.0)


def gaps(answers: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Where reply numbers do not go on by one."""
    numbers = [answer["reply"] for answer in answers]
    return [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
