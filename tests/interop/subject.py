"""Inside the guest: the registrar under test on host h1: ours, or rsplib's to validate the scenario itself."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.interop.network import Network, Program, address
from tests.interop.peers import rspregistrar

HOST = 1
IDENTIFIER = 0x22222222
UDP_ENCAPSULATION = 9899


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The registrar under test and its timers in seconds."""

    name: str
    """``rsplib``, or the transport of our registrar: ``kernel`` or ``usrsctp``."""

    keep_alive_interval: float = 0.3
    keep_alive_timeout: float = 1.0

    @property
    def asap_port(self) -> int:
        """The registrar's ASAP port. Our usrsctp endpoint uses UDP port = SCTP port, and the kernels of the other hosts
        use one common UDP port."""
        return UDP_ENCAPSULATION if self.name == "usrsctp" else 3863

    @property
    def encapsulation(self) -> int | None:
        return UDP_ENCAPSULATION if self.name == "usrsctp" else None

    @property
    def registrar(self) -> str:
        return f"{address(HOST)}:{self.asap_port}"

    def network(self, out: Path) -> Network:
        return Network(out, encapsulation=self.encapsulation)

    def start(self, net: Network) -> Program:
        """Create host h1 and start the registrar on it."""
        net.host(HOST, encapsulation=0)
        if self.name == "rsplib":
            return rspregistrar(
                net, HOST, IDENTIFIER,
                f"-endpointkeepalivetransmissioninterval={self.keep_alive_interval * 1000:.0f}",
                f"-endpointkeepalivetimeoutinterval={self.keep_alive_timeout * 1000:.0f}",
            )  # fmt: skip
        return net.start("registrar", HOST, self.command())

    def command(self) -> list[str]:
        """Command line of our registrar."""
        return [
            sys.executable, "-m", "rserpool.cli.main", "registrar",
            "--identifier", f"0x{IDENTIFIER:08x}",
            "--asap", self.registrar,
            "--transport", self.name,
            "--profile", "rsplib",
            "--keep-alive-interval", str(self.keep_alive_interval),
            "--keep-alive-timeout", str(self.keep_alive_timeout),
            "--announce-interval", "0.5",
            # the scenarios send far more requests than a pool user does
            "--limit-resolution-rate", "100000",
            "--limit-resolution-burst", "100000",
        ]  # fmt: skip


def keep_alive_seconds(subject: Subject, cycles: int = 24) -> float:
    """Seconds for which elements must survive: some keep-alive cycles, or the value of RSERPOOL_KEEP_ALIVE_SECONDS."""
    return float(os.environ.get("RSERPOOL_KEEP_ALIVE_SECONDS") or cycles * subject.keep_alive_interval)
