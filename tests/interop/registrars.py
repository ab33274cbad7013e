"""Inside the guest: the registrars of one scope, ours and rsplib's, with timers that show every failure in seconds."""

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
"""Seconds; the same of both implementations."""
SILENT_START = 5.0
"""Seconds for which rsplib's registrar sends no presences of its own accord, whatever its options say."""
REPAIR_BOUND = 2 * HEARTBEAT * 1.125
"""Two presence cycles, each with its jitter."""
TAKEOVER_BOUND = LAST_HEARD + 2 * NO_RESPONSE + EXPIRY
"""Seconds within which a dead registrar's elements have a new home."""
OURS = (
    "--transport=kernel", "--profile=rsplib", f"--peer-heartbeat-cycle={HEARTBEAT:g}",
    f"--max-time-last-heard={LAST_HEARD:g}", f"--max-time-no-response={NO_RESPONSE:g}",
    f"--takeover-expiry={EXPIRY:g}", f"--mentor-discovery-timeout={MENTOR:g}",
    f"--keep-alive-interval={KEEP_ALIVE:g}", f"--keep-alive-timeout={KEEP_ALIVE:g}",
    # the scenarios ask and register far more than one host does
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
# What differs from one moment, or from one transfer to the next, in hsdump's lines of elements.
VOLATILE = re.compile(r" flags=\S*| idx:#\d+:")
STATE = re.compile(r"^ +seq=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """What rsplib's hsdump prints of a registrar's handlespace, without what differs from one moment to the next."""

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
        """A pool user at it, on another host."""
        return connect_when_ready(self.net, host, self.asap, self.program)

    def kill(self) -> None:
        """kill -9. Its association's ends hear of it at once: the kernel aborts them."""
        self.program.kill()
        self.program.process.wait()

    def settle(self) -> None:
        """Waits until it sends presences in its cycle."""
        start = SILENT_START if self.implementation == "rsplib" else MENTOR
        time.sleep(max(0.0, self.started + start + 2 * HEARTBEAT - time.monotonic()))

    def dump(self, host: int = 8) -> Dump:
        """What hsdump prints. It poses as a registrar that never consents to a takeover, and is forgotten later."""
        command = ["hsdump", self.enrp, "-loglevel=2", "-logcolor=off"]
        with self.net.inside(host):
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        (self.net.out / f"hsdump{self.host}.txt").write_text(done.stdout + done.stderr)
        return read_dump(done.stdout)


def start(net: Network, implementation: str, host: int, identifier: int, *options: str, tag: str = "") -> Registrar:
    """A registrar on a host that exists already."""
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
    """Options for keep-alives that are rare enough for a thousand elements."""
    if implementation == "rsplib":
        return ["-endpointkeepalivetransmissioninterval=60000"]
    return ["--keep-alive-interval=60"]


def static_peers(implementation: str, *peers: str) -> list[str]:
    """Options that name the peers' ENRP addresses, with multicast among registrars turned off."""
    if implementation == "rsplib":
        return ["-enrpannounce=off", *(f"-peer={peer}" for peer in peers)]
    return ["--enrp-announce=", *([f"--peer={','.join(peers)}"] if peers else [])]


def read_dump(text: str) -> Dump:
    """Of all that hsdump prints, the last handlespace."""
    _, _, last = text.rpartition("Checksums: ")
    head, _, rest = last.partition("*-- Index:")
    index, _, rest = rest.partition("*-- Selection:")
    _, _, rest = rest.partition("*-- Ownership:")
    ownership, _, _ = rest.partition("*--")

    def settled(part: str) -> list[str]:
        lines = (VOLATILE.sub("", line).strip() for line in part.splitlines() if not STATE.match(line))
        return [line for line in lines if line]

    return Dump(checksum=head.partition(",")[0].strip(), index=settled(index), ownership=settled(ownership))


def disagreements(users: list[PoolUser], pools: list[str]) -> dict[str, list[dict[str, str]]]:
    """Where registrars answer differently: by pool, each one's elements with all that is said of them."""
    found = {}
    for pool in pools:
        answers = [user.all(pool).parameters for user in users]
        if any(answer != answers[0] for answer in answers):
            found[pool] = [{f"{one:x}": value.hex(" ", 4) for one, value in answer.items()} for answer in answers]
    return found


def wait_agreed(users: list[PoolUser], pools: list[str], seconds: float = 20.0) -> float:
    """Until all registrars answer the same about the pools; the seconds it took."""
    try:
        return wait_until(lambda: not disagreements(users, pools), "agreement", seconds, every=0.05)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {disagreements(users, pools)}") from None
