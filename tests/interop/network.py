"""Inside the guest: hosts on one or two LANs, the programs that run on them, and packet captures of the LANs.

A host is a network namespace with eth0 = 10.44.0.N on the bridge br0 and its own SCTP settings. With a second LAN it
also has eth1 = 10.45.0.N on br1.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
# SCTP notices failures within a second or two instead of minutes.
SCTP_SETTINGS = {
    "rto_initial": 500, "rto_min": 200, "max_init_retransmits": 3, "association_max_retrans": 4, "path_max_retrans": 2,
}  # fmt: skip
# Seconds until a packet is in the capture: tcpdump reads packets once a second.
LATE = 1.2
CAPTURED = "sctp or (udp and (port 3863 or port 9901 or port 9899))"


def address(host: int, lan: int = 0) -> str:
    """IPv4 address of a host."""
    return f"10.{44 + lan}.0.{host}"


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0, every: float = 0.005) -> float:
    """Poll until ``condition()`` is true; returns the seconds it took. TimeoutError after ``seconds``."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
    return time.monotonic() - began


class Program:
    """A running process. Its output is kept in ``<tag>.out`` and its errors (rsplib's log) in ``<tag>.err``."""

    def __init__(self, tag: str, command: list[str], out: Path, stdin: int, suffix: str = "out") -> None:
        self.tag = tag
        self.output, self.errors = out / f"{tag}.{suffix}", out / f"{tag}.err"
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            # Without this, output arrives in blocks of 4 KB.
            self.process = subprocess.Popen(["stdbuf", "-oL", *command], stdin=stdin, stdout=output, stderr=errors)

    def text(self) -> str:
        """Output and errors so far, without colours."""
        text = self.output.read_text(errors="replace") + self.errors.read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def wait_for(self, pattern: str, seconds: float = 20.0) -> float:
        """Wait until the output matches the regular expression; returns the seconds it took."""
        return wait_until(lambda: re.search(pattern, self.text()), f"{pattern!r} of {self.tag}", seconds)

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, sig: signal.Signals = signal.SIGINT, seconds: float = 6.0) -> int:
        """End the process, with SIGKILL after ``seconds``; returns its exit status."""
        if self.alive():
            self.interrupt(sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(seconds)
            self.process.kill()
        return self.process.wait()

    def interrupt(self, sig: signal.Signals = signal.SIGINT) -> None:
        """Send a signal that ends the process, even if it is frozen."""
        self.process.send_signal(sig)
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def capture(out: Path, interface: str, captured: str = CAPTURED) -> Program:
    """Start to record the interface's packets that pass a filter, in ``capture.pcap``, or ``capture1.pcap`` for the
    second LAN."""
    command = ["tcpdump", "-i", interface, "-U", "-Z", "root", "-s", "0", "-w", "-", captured]
    name = "capture1" if interface == "br1" else "capture"
    program = Program(name, command, out, subprocess.DEVNULL, "pcap")
    wait_until(lambda: program.output.stat().st_size >= 24, "the capture's start")
    return program


class Network:
    """The LANs, their hosts and all programs started on them. Leaving the context ends everything."""

    def __init__(self, out: Path, *, encapsulation: int | None = None, lans: int = 1, captured: str = CAPTURED) -> None:
        """``encapsulation`` is the UDP port through which all kernels send and receive SCTP (RFC 6951). ``captured`` is
        tcpdump's filter for the captures."""
        self.out = out
        self.captured = captured
        self.encapsulation = encapsulation
        self.lans = lans
        self.programs: list[Program] = []
        self.captures: list[Program] = []

    def __enter__(self) -> "Network":
        for lan in range(self.lans):
            run_batch(
                f"link add br{lan} type bridge mcast_snooping 0 forward_delay 0",
                f"addr add {address(254, lan)}/24 dev br{lan}",
                f"link set br{lan} up",
            )
            self.captures.append(capture(self.out, f"br{lan}", self.captured))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        time.sleep(LATE)
        for program in self.captures:
            program.stop()

    def stop_all(self) -> None:
        """End all programs together, except the first one started (the registrar), which ends last."""
        for program in self.programs[1:]:
            program.interrupt()
        for program in reversed(self.programs):
            program.stop(seconds=2.0)
        self.programs.clear()

    def link(self, number: int, lan: int, state: str) -> None:
        """Set a host's link to a LAN ``down`` or ``up``. The host keeps its addresses and does not notice."""
        run_batch(f"link set {port_name(number, lan)} {state}")

    def host(self, number: int, *, encapsulation: int | None = None) -> int:
        """Create host h``number``; returns the number."""
        name = f"h{number}"
        run_batch(f"netns add {name}")
        for lan in range(self.lans):
            port = port_name(number, lan)
            run_batch(
                f"link add {port} type veth peer name eth{lan} netns {name}",
                f"link set {port} master br{lan}",
                f"link set {port} up",
            )
        udp_port = encapsulation if encapsulation is not None else self.encapsulation
        with self.inside(number):
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
            for key, value in SCTP_SETTINGS.items():
                Path(f"/proc/sys/net/sctp/{key}").write_text(str(value))
            if udp_port:
                Path("/proc/sys/net/sctp/udp_port").write_text(str(udp_port))
                Path("/proc/sys/net/sctp/encap_port").write_text(str(udp_port))
            run_batch(
                "link set lo up",
                *(f"link set eth{lan} up" for lan in range(self.lans)),
                *(f"addr add {address(number, lan)}/24 dev eth{lan}" for lan in range(self.lans)),
                "route add 224.0.0.0/4 dev eth0",
            )
        return number

    @contextlib.contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Enter a host's network namespace. Sockets created in this context stay in it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/h{number}", os.O_RDONLY)
        try:
            enter(there)
            yield
        finally:
            enter(home)
            os.close(there)
            os.close(home)

    def start(self, tag: str, number: int, command: list[str], stdin: int = subprocess.DEVNULL) -> Program:
        """Start a program on host h``number``."""
        with self.inside(number):
            program = Program(tag, command, self.out, stdin)
        self.programs.append(program)
        return program


def port_name(number: int, lan: int) -> str:
    """Name of the bridge's end of a host's link."""
    return f"v{number}" if lan == 0 else f"v{number}-{lan}"


def enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run_batch(*lines: str) -> None:
    """Run several ip commands in one process, because forks are slow in the guest."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
