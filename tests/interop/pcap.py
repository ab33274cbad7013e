"""What tshark makes of a capture, on the host."""

import subprocess
from collections import Counter
from pathlib import Path


def fields(pcap: Path, display_filter: str, *names: str) -> list[list[str]]:
    """One row per packet that passes the filter, one column per field (several values joined by commas)."""
    command = ["tshark", "-n", "-r", str(pcap), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"tshark: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()]


def malformed(pcap: Path, source: str) -> list[str]:
    """The ASAP and ENRP packets of a host that tshark cannot decode completely."""
    rows = fields(pcap, f"ip.src == {source} && (asap || enrp) && _ws.malformed", "frame.number", "_ws.col.Info")
    return [f"frame {number}: {info}" for number, info in rows]


def asap_types(pcap: Path, source: str) -> Counter[int]:
    """How many ASAP messages of each type a host sent."""
    rows = fields(pcap, f"ip.src == {source} && asap.message_type", "asap.message_type")
    return Counter(int(kind) for (kinds,) in rows for kind in kinds.split(","))
