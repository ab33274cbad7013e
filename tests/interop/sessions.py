"""Inside the guest: a pool user that resolves a pool every 100 ms and exchanges an echo with the selected element."""

import socket
import threading
import time
from dataclasses import dataclass, field

from tests.interop.elements import send
from tests.interop.network import Network
from tests.interop.registrars import Registrar

INTERVAL = 0.1
PPID_NONE = 0


@dataclass(slots=True)
class Sessions:
    """The results of the sessions. They run while the context is entered."""

    net: Network
    host: int
    registrar: Registrar
    pool: str
    held: int = 0
    failures: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    """Longest time from the end of one session to the end of the next, in seconds."""
    _ending: bool = False
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Sessions":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        assert self._thread is not None
        self._thread.join(10)

    def result(self) -> dict[str, object]:
        return {"held": self.held, "failures": self.failures[:5], "longest_gap": round(self.longest_gap, 3)}

    def _run(self) -> None:
        user = self.registrar.user(self.host)
        last = due = time.monotonic()
        while not self._ending:
            try:
                answer = user.resolve(self.pool, items=1)
                if answer.causes or not answer.elements:
                    raise LookupError(f"causes {answer.causes}, elements {answer.elements}")
                identifier = answer.elements[0]
                self._echo(identifier, answer.endpoints[identifier])
                self.held += 1
            except (OSError, LookupError, ValueError) as error:
                self.failures.append(f"{time.monotonic():.2f} {error!r}")
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            last = now
            due = max(due + INTERVAL, now)
            time.sleep(due - now)
        user.close()

    def _echo(self, identifier: int, endpoint: tuple[str, int]) -> None:
        with self.net.inside(self.host):
            session = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        with session:
            session.settimeout(2)
            session.connect(endpoint)
            words = f"to {identifier:x} {self.held}".encode()
            send(session, words, PPID_NONE)
            if session.recv(1000) != words:
                raise LookupError("another answer")
