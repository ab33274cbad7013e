"""Status reports: rsplib's octets, our octets in tshark's dissection, and malformed or hostile reports."""

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from rserpool.registrar.instruments.csp import (
    HEADER,
    MAX_ASSOCIATIONS,
    AssociationReport,
    Component,
    Group,
    StatusReport,
    decode,
    location,
    status,
)

VECTORS = {
    vector["name"]: bytes.fromhex(vector["hex"])
    for vector in json.loads((Path(__file__).parents[3] / "vectors/csp/rsplib.json").read_text())
}
US = Component(group=Group.REGISTRAR, identifier=0x22222222)
REPORT = StatusReport(
    sender=US,
    uptime=1_500_000,
    interval=250_000,
    location="host: 10.44.0.1:3863, 10.45.0.1",
    status="2[1] PEs in 1 Pool, 1 Peer",
    associations=(AssociationReport(receiver=Component(group=Group.REGISTRAR, identifier=0x11111111)),),
)


@pytest.mark.parametrize("name", VECTORS)
def test_rsplib_report_is_encoded_to_the_same_octets(name: str) -> None:
    assert decode(VECTORS[name]).encode() == VECTORS[name]


def test_report_of_an_idle_registrar_equals_rsplibs() -> None:
    expected = StatusReport(
        sender=Component(group=Group.REGISTRAR, identifier=0x11111111),
        uptime=0x10,
        interval=1_000_000,
        location=location("uml", [ip_address("10.44.0.1")], 3863),
        status=status(0, 0, 0, 0),
    )
    assert expected.encode() == VECTORS["registrar-1"]


def test_report_with_a_peer_is_decoded() -> None:
    seen = decode(VECTORS["registrar-with-a-peer"])
    (peer,) = seen.associations
    assert (peer.receiver.group, peer.duration, peer.protocol, peer.ppid) == (Group.REGISTRAR, None, 132, 12)
    assert seen.location == location("uml", [ip_address("10.44.0.1"), ip_address("10.45.0.1")], 3863)
    assert seen.status == status(1, 1, 1, 1)


def test_final_report_is_empty() -> None:
    seen = decode(VECTORS["user-final-1"])
    assert (seen.final, seen.location, seen.status, seen.workload, seen.associations) == (True, "", "", 0, ())


def test_status_and_location_texts_match_rsplibs_form() -> None:
    assert status(2, 1, 1, 1) == "2[1] PEs in 1 Pool, 1 Peer"
    assert status(1, 1, 2, 0) == "1[1] PEs in 2 Pools, 0 Peers"
    wide, local, loop = ip_address("2001:db8::1"), ip_address("10.0.0.1"), ip_address("127.0.0.1")
    assert location("h", [loop, local], 5) == "h: 10.0.0.1:5"
    assert location("h", [local, ip_address("8.8.8.8"), ip_address("2000::1")], 5) == "h: 8.8.8.8:5, 2000::1"
    assert location("h", [wide, local], 5) == "h: [2001:db8::1]:5"
    assert location("h", [loop], 5) == "h: (local only)"


def test_long_text_is_cut_and_control_characters_are_replaced() -> None:
    seen = decode(replace(REPORT, location="ä" * 100, status="a\x1b[2Jb\0c").encode())
    assert seen.location == "ä" * 64
    assert seen.status == "a?[2Jb?c"
    raw = REPORT.encode()
    assert decode(raw[:156] + b"\x1b[2J".ljust(128, b"\0") + raw[284:]).status == "?[2J"


def test_report_is_limited_to_one_datagram() -> None:
    data = replace(REPORT, associations=REPORT.associations * 4000).encode()
    assert len(data) <= 65_507
    assert len(decode(data).associations) == MAX_ASSOCIATIONS


def test_workload_survives_encoding_and_decoding() -> None:
    for load in (0.0, 0.25, 1.0):
        assert decode(replace(REPORT, workload=load).encode()).workload == pytest.approx(load, abs=1e-4)


def test_malformed_reports_are_refused() -> None:
    good = REPORT.encode()
    bad = [good[:length] for length in range(len(good))]
    bad += [good + b"\0", b"\2" + good[1:], good[:4] + struct.pack(">I", 0x0300) + good[8:], good[:286] + b"\xff\xff"]
    for data in bad:
        with pytest.raises(ValueError, match="status report"):
            decode(data)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (ci/setup)")
def test_tshark_reads_the_same_values(tmp_path: Path) -> None:
    data = replace(REPORT, workload=0.5).encode()
    udp = struct.pack(">HHHH", 40000, 2960, 8 + len(data), 0) + data
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    )
    packet = ip + udp
    capture = tmp_path / "csp.pcap"
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    capture.write_bytes(head + struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
    command = ["tshark", "-r", str(capture), "-d", "udp.port==2960,componentstatusprotocol", "-V"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for expected in (
        "Flags: 0",
        f"Length: {HEADER.size + 24}",
        "Version: 0x00000200",
        "Group: Registrar (0x0001)",
        "Object: 0x0000000022222222",
        "SenderTimeStamp: 1.500000000 seconds",
        "ReportInterval: 0.250000000 seconds",
        "Location: host: 10.44.0.1:3863, 10.45.0.1",
        "Status: 2[1] PEs in 1 Pool, 1 Peer",
        "Workload: 50.",
        "Associations: 1",
    ):
        assert expected in shown
    assert "Malformed" not in shown
