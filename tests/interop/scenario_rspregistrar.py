"""rspregistrar, ours or rsplib's, started with the same command line, as seen by elements, users, a peer registrar, a
monitor and in the files it writes.

Argument: ``ours`` or ``rsplib``.
"""

import re
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.interop import peers
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, Program, address, wait_until

HOST, PEER, MONITOR, USER = 1, 2, 8, 9
IDENTIFIER, PEER_IDENTIFIER = 0x11111111, 0x22222222
POOL = "EchoPool"
ELEMENTS = {3: 0xAA01, 4: 0xAA02, 5: 0xAA03}
WHERE = f"{address(HOST)}:3863"
PROGRAMS = {"rsplib": ["rspregistrar"], "ours": [sys.executable, "-m", "rserpool.cli.rspregistrar"]}


def options(out: Path) -> list[str]:
    """The command line for both."""
    return [
        f"-identifier=0x{IDENTIFIER:08x}", f"-asap={WHERE}", f"-enrp={address(HOST)}:9901",
        f"-peer={address(PEER)}:9901", "-asapannounce=239.0.0.50", "-enrpannounce=off",
        "-minaddressscope=sitelocal", "-maxbadpereports=4", "-distancestep=20", "-autoclosetimeout=2",
        "-serverannouncecycle=500", "-endpointkeepalivetransmissioninterval=1000",
        "-endpointkeepalivetimeoutinterval=50000000", "-peerheartbeatcycle=1", "-peermaxtimelastheard=3000",
        "-peermaxtimenoresponse=1500", "-mentordiscoverytimeout=1000", "-takeoverexpiryinterval=2000",
        "-maxincrement=2", "-maxhresitems=2", "-maxelementsperhtrequest=1000", "-maxhrrate=1000", "-maxeurate=12.5",
        f"-cspserver={address(MONITOR)}", "-cspinterval=300", f"-actionlogfile={out}/actions",
        f"-statsfile={out}/stats", "-statsinterval=500",
        f"-scalar={out}/scalars", "-object=mine", f"-logfile={out}/log", "-loglevel=3",
        "-logcolor=off",
    ]  # fmt: skip


def start(net: Network, which: str, out: Path) -> dict[int, Program]:
    """Start all hosts, the registrar, its peer and the monitor; returns the programs by host."""
    for number in (HOST, PEER, *ELEMENTS, MONITOR, USER):
        net.host(number)
    return {
        HOST: net.start("registrar", HOST, [*PROGRAMS[which], *options(out)]),
        PEER: peers.rspregistrar(
            net, PEER, PEER_IDENTIFIER, f"-peer={address(HOST)}:9901", "-asapannounce=off", "-enrpannounce=off"
        ),
        MONITOR: net.start("cspmonitor", MONITOR, ["cspmonitor", "-full", "-updateinterval=200"]),
    }


def serve(net: Network, programs: dict[int, Program]) -> None:
    """Register elements and run users."""
    user = peers.connect_when_ready(net, USER, WHERE, programs[HOST])
    with finding("elements") as found:
        elements = [peers.element(net, host, number, "echo") for host, number in ELEMENTS.items()]
        wait_until(lambda: len(user.resolve(POOL, items=9).elements) == len(ELEMENTS), "the elements")
        found["listed"] = sorted(user.resolve(POOL, items=9).elements)
    with finding("answers") as found:
        found["unnumbered"] = len(user.resolve(POOL).elements)
        rounds = [user.resolve(POOL, items=3).elements for _ in range(4)]
        found["begins_after_two"] = all(after[0] == before[2] for before, after in pairwise(rounds))
        found["unknown"] = user.resolve("Nowhere").causes
    with finding("peer") as found:
        other = peers.connect_when_ready(net, USER, f"{address(PEER)}:3863", programs[PEER])
        wait_until(lambda: len(other.resolve(POOL, items=9).elements) == len(ELEMENTS), "the peer's copy")
        found["listed"] = sorted(other.resolve(POOL, items=9).elements)
    with finding("terminal") as found:
        terminal = peers.Terminal(net, 5, "terminal", *peers.static(WHERE))
        found["served"] = terminal.exchange("hello") in ELEMENTS.values()
        terminal.stop()
    with finding("idle") as found:
        began = time.monotonic()
        wait_until(lambda: ended(user), "the end of an idle association", 20.0)
        found["at_least"] = time.monotonic() - began > 3
    with finding("deregistered") as found:
        elements[0].stop()
        wait_until(lambda: "2[2] PEs in 1 Pool, 1 Peer" in programs[MONITOR].text(), "the monitor")
        found["monitor"] = sorted(set(re.findall(r"PR \$11111111 \[(\S+ \S+)\]", programs[MONITOR].text())))


def ended(user: peers.PoolUser) -> bool:
    """True if the registrar has closed the user's association."""
    user.socket.settimeout(0.2)
    try:
        return user.socket.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def look(out: Path, programs: dict[int, Program]) -> None:
    """End the registrar and collect its output and files."""
    with finding("end") as found:
        found["status"] = programs[HOST].stop()
        printed = programs[HOST].output.read_text()
        found["banner"] = dict(re.findall(r"^ *([A-Z][^:\n]+): +(.+)$", printed, re.MULTILINE))
        found["terminated"] = printed.rstrip().endswith("Terminated!")
    with finding("statistics") as found:
        head, *lines = (out / "stats").read_text().splitlines()
        found["head"] = head
        found["last"] = dict(zip(head.split()[5:], map(int, lines[-1].split()[6:]), strict=True))
        found["numbers"] = [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    with finding("actions") as found:
        head, *lines = (out / "actions").read_text().splitlines()
        found["head"] = head
        found["columns"] = sorted({len(line.split()) for line in lines})
        found["kinds"] = sorted({tuple(line.split()[4:7]) for line in lines})
    with finding("scalars") as found:
        text = (out / "scalars").read_text()
        found["labels"] = re.sub(r"[\d.]+$", "", text, flags=re.MULTILINE).replace('" ', '"').split()
        found["totals"] = {label: int(number) for label, number in re.findall(r'Total ([\w ]+)" +(\d+)$', text, re.M)}
    with finding("log") as found:
        lines = (out / "log").read_text().splitlines()
        stamp = r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\.\d{4}: "
        found["first"] = bool(re.fullmatch(stamp + r"P\d+\.[0-9a-f]+@\S+ \S+:\d+ \w+\(\)", lines[0]))
        found["second"] = bool(re.match(stamp + r"\S", lines[1]))


def main() -> None:
    out = out_directory()
    with Network(out) as net:
        programs = start(net, sys.argv[1], out)
        serve(net, programs)
        look(out, programs)


if __name__ == "__main__":
    main()
