"""On the host: reads captures, as raw messages and as decoded by tshark."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

UDP, SCTP, DATA = 17, 132, 0
PPIDS: dict[int, Literal["asap", "enrp"]] = {11: "asap", 12: "enrp"}
ANNOUNCED: dict[int, Literal["asap", "enrp"]] = {3863: "asap", 9901: "enrp"}


def fields(pcap: Path, display_filter: str, *names: str) -> list[list[str]]:
    """One row per packet that passes the filter and one column per field. Several values of a field are joined by
    commas."""
    command = ["tshark", "-n", "-r", str(pcap), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"tshark: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()]


def malformed(pcap: Path, sent: str) -> list[str]:
    """ASAP and ENRP packets that pass a display filter and that tshark cannot decode completely."""
    rows = fields(pcap, f"{sent} && (asap || enrp) && _ws.malformed", "frame.number", "_ws.col.Info")
    return [f"frame {number}: {info}" for number, info in rows]


def asap_types(pcap: Path, sent: str) -> Counter[int]:
    """Number of ASAP messages of each type that pass a display filter."""
    rows = fields(pcap, f"{sent} && asap.message_type", "asap.message_type")
    return Counter(int(kind) for (kinds,) in rows for kind in kinds.split(","))


def enrp_types(pcap: Path, sent: str) -> Counter[int]:
    """Number of ENRP messages of each type that pass a display filter."""
    rows = fields(pcap, f"{sent} && enrp.message_type", "enrp.message_type")
    return Counter(int(kind) for (kinds,) in rows for kind in kinds.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One captured ASAP or ENRP message. ``ppid`` is 0 for an announcement over UDP."""

    source: str
    protocol: Literal["asap", "enrp"]
    ppid: int
    data: bytes


def messages(pcap: Path, encapsulation: int = 9899) -> Iterator[Captured]:
    """All complete messages of an Ethernet capture (pcap, little-endian): over SCTP, over SCTP in UDP, and over UDP."""
    octets = pcap.read_bytes()
    seen: set[bytes] = set()
    at = 24
    while at + 16 <= len(octets):
        length = int.from_bytes(octets[at + 8 : at + 12], "little")
        frame = octets[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] != b"\x08\x00":
            continue
        packet = frame[14 : 14 + int.from_bytes(frame[16:18])]
        source = str(IPv4Address(packet[12:16]))
        body = packet[(packet[0] & 15) * 4 :]
        if packet[9] == UDP:
            port = int.from_bytes(body[2:4])
            if port in ANNOUNCED:
                yield Captured(source=source, protocol=ANNOUNCED[port], ppid=0, data=body[8:])
                continue
            if encapsulation not in (port, int.from_bytes(body[0:2])):
                continue
            body = body[8:]
        elif packet[9] != SCTP:
            continue
        yield from whole_chunks(source, body, seen)


def whole_chunks(source: str, packet: bytes, seen: set[bytes]) -> Iterator[Captured]:
    """Unfragmented ASAP and ENRP messages of an SCTP packet, without retransmissions of chunks in ``seen``."""
    at = 12
    while at + 16 <= len(packet):
        kind, flags = packet[at], packet[at + 1]
        length = int.from_bytes(packet[at + 2 : at + 4])
        ppid = int.from_bytes(packet[at + 12 : at + 16])
        identity = packet[0:8] + packet[at + 4 : at + 8]  # ports, tag, transmission sequence number
        if kind == DATA and flags & 3 == 3 and ppid in PPIDS and identity not in seen:
            seen.add(identity)
            yield Captured(source=source, protocol=PPIDS[ppid], ppid=ppid, data=packet[at + 16 : at + length])
        at += max(4, length + 3 & ~3)
