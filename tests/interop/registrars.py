"""Inside the guest: several registrars, ours and rsplib's, in one operational scope, with timers that show each failure
within seconds."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.interop.network import Network, Program, address, wait_until
from tests.interop.peers import ASAP_PORT, LOGGING, PoolUser, connect_when_ready

ENRP_PORT = 9901
HEARTBEAT, LAST_HEARD, NO_RESPONSE, EXPIRY = 1.0, 2.5, 1.0, 2.0
KEEP_ALIVE = 1.5
MENTOR = 1.5
"""Seconds for which a starting registrar of either implementation waits for a mentor."""
SILENT_START = 5.0
"""Seconds after its start in which rsplib's registrar sends no periodic presences, regardless of its options."""
REPAIR_BOUND = 2 * HEARTBEAT * 1.125
"""Two presence cycles with jitter, in seconds."""
TAKEOVER_BOUND = LAST_HEARD + 2 * NO_RESPONSE + EXPIRY
"""Longest time until a dead registrar's elements have a new home, in seconds."""
OURS = (
    "--transport=kernel", "--profile=rsplib", f"--peer-heartbeat-cycle={HEARTBEAT:g}",
    f"--max-time-last-heard={LAST_HEARD:g}", f"--max-time-no-response={NO_RESPONSE:g}",
    f"--takeover-expiry={EXPIRY:g}", f"--mentor-discovery-timeout={MENTOR:g}",
    f"--keep-alive-interval={KEEP_ALIVE:g}", f"--keep-alive-timeout={KEEP_ALIVE:g}",
    # the scenarios send far more requests than one host does
    "--limit-resolution-rate=100000", "--limit-resolution-burst=100000",
    "--limit-registration-rate=100000", "--limit-registration-burst=100000", "--limit-elements-per-association=5000",
)  # fmt: skip
RSPLIB = (
    "-serverannouncecycle=1000", f"-peerheartbeatcycle={HEARTBEAT * 1000:.0f}",
    f"-peermaxtimelastheard={LAST_HEARD * 1000:.0f}", f"-peermaxtimenoresponse={NO_RESPONSE * 1000:.0f}",
    f"-takeoverexpiryinterval={EXPIRY * 1000:.0f}", f"-mentordiscoverytimeout={MENTOR * 1000:.0f}",
    f"-endpointkeepalivetransmissioninterval={KEEP_ALIVE * 1000:.0f}",
    f"-endpointkeepalivetimeoutinterval={KEEP_ALIVE * 1000:.0f}", *LOGGING,
)  # fmt: skip
IMPLEMENTATIONS = ("ours", "rsplib")
# Fields of hsdump's element lines that change over time or with each transfer.
VOLATILE = re.compile(r" flags=\S*| idx:#\d+:")
STATE = re.compile(r"^ +seq=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """Output of rsplib's hsdump for one registrar's handlespace, without the volatile fields."""

    checksum: str
    index: list[str]
    ownership: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """One registrar that was started."""

    net: Network
    host: int
    identifier: int
    implementation: str
    program: Program
    started: float

    @property
    def asap(self) -> str:
        return f"{address(self.host)}:{ASAP_PORT}"

    @property
    def enrp(self) -> str:
        return f"{address(self.host)}:{ENRP_PORT}"

    def user(self, host: int = 9) -> PoolUser:
        """Connect a pool user to the registrar, from another host."""
        return connect_when_ready(self.net, host, self.asap, self.program)

    def kill(self) -> None:
        """Send SIGKILL. The kernel aborts the registrar's associations, so that their other ends notice at once."""
        self.program.kill()
        self.program.process.wait()

    def settle(self) -> None:
        """Wait until the registrar sends presences periodically."""
        start = SILENT_START if self.implementation == "rsplib" else MENTOR
        time.sleep(max(0.0, self.started + start + 2 * HEARTBEAT - time.monotonic()))

    def dump(self, host: int = 8) -> Dump:
        """Run hsdump. It poses as a registrar that never agrees to a takeover, and the registrars drop it later."""
        command = ["hsdump", self.enrp, "-loglevel=2", "-logcolor=off"]
        with self.net.inside(host):
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        (self.net.out / f"hsdump{self.host}.txt").write_text(done.stdout + done.stderr)
        return read_dump(done.stdout)


def start(net: Network, implementation: str, host: int, identifier: int, *options: str, tag: str = "") -> Registrar:
    """Start a registrar on an existing host."""
    tag = tag or f"{implementation}{host}"
    where = address(host)
    if implementation == "rsplib":
        addresses = [f"-identifier=0x{identifier:08x}", f"-asap={where}:{ASAP_PORT}", f"-enrp={where}:{ENRP_PORT}"]
        command = ["rspregistrar", *addresses, *RSPLIB, *options]
    else:
        addresses = [f"--identifier=0x{identifier:08x}", f"--asap={where}:{ASAP_PORT}"]
        command = [sys.executable, "-m", "rserpool.cli.main", "registrar", *addresses, *OURS, *options]
    program = net.start(tag, host, command)
    return Registrar(
        net=net,
        host=host,
        identifier=identifier,
        implementation=implementation,
        program=program,
        started=time.monotonic(),
    )


def patient(implementation: str) -> list[str]:
    """Options that make keep-alives rare enough for a thousand elements."""
    if implementation == "rsplib":
        return ["-endpointkeepalivetransmissioninterval=60000"]
    return ["--keep-alive-interval=60"]


def static_peers(implementation: str, *peers: str) -> list[str]:
    """Options that name the peers' ENRP addresses and turn off multicast between registrars."""
    if implementation == "rsplib":
        return ["-enrpannounce=off", *(f"-peer={peer}" for peer in peers)]
    return ["--enrp-announce=", *([f"--peer={','.join(peers)}"] if peers else [])]


def read_dump(text: str) -> Dump:
    """Parse the last handlespace in hsdump's output."""
    _, _, last = text.rpartition("Checksums: ")
    head, _, rest = last.partition("*-- Index:")
    index, _, rest = rest.partition("*-- Selection:")
    _, _, rest = rest.partition("*-- Ownership:")
    ownership, _, _ = rest.partition("*--")

    def stable_lines(part: str) -> list[str]:
        lines = (VOLATILE.sub("", line).strip() for line in part.splitlines() if not STATE.match(line))
        return [line for line in lines if line]

    return Dump(checksum=head.partition(",")[0].strip(), index=stable_lines(index), ownership=stable_lines(ownership))


def disagreements(users: list[PoolUser], pools: list[str]) -> dict[str, list[dict[str, str]]]:
    """Pools about which registrars answer differently, with the elements that each registrar lists and their
    parameters."""
    found = {}
    for pool in pools:
        answers = [user.all(pool).parameters for user in users]
        if any(answer != answers[0] for answer in answers):
            found[pool] = [{f"{one:x}": value.hex(" ", 4) for one, value in answer.items()} for answer in answers]
    return found


def wait_agreed(users: list[PoolUser], pools: list[str], seconds: float = 20.0) -> float:
    """Wait until all registrars give the same answers about the pools; returns the seconds it took."""
    try:
        return wait_until(lambda: not disagreements(users, pools), "agreement", seconds, every=0.05)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {disagreements(users, pools)}") from None
