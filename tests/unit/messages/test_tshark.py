"""tshark, an independent dissector, reads every message type."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rserpool import messages as m
from tests.unit.messages.test_messages import EVERY_MESSAGE

TSHARK = shutil.which("tshark")
RAW_IP = 101
PORTS = {"asap": (3863, 11), "enrp": (9901, 12)}
TITLES = {
    m.Registration: "ASAP Registration (1)",
    m.Deregistration: "ASAP Deregistration (2)",
    m.RegistrationResponse: "ASAP Registration Response (3)",
    m.DeregistrationResponse: "ASAP Deregistration Response (4)",
    m.HandleResolution: "ASAP Handle Resolution (5)",
    m.HandleResolutionResponse: "ASAP Handle Resolution Response (6)",
    m.EndpointKeepAlive: "ASAP Endpoint Keep-Alive (7)",
    m.EndpointKeepAliveAck: "ASAP Endpoint Keep-Alive Acknowledgement (8)",
    m.EndpointUnreachable: "ASAP Endpoint Unreachable (9)",
    m.ServerAnnounce: "ASAP Server Announce (10)",
    m.Cookie: "ASAP Cookie (11)",
    m.CookieEcho: "ASAP Cookie Echo (12)",
    m.BusinessCard: "ASAP Business Card (13)",
    m.AsapError: "ASAP Error (14)",
    m.Presence: "ENRP Presence (1)",
    m.HandleTableRequest: "ENRP Handle Table Request (2)",
    m.HandleTableResponse: "ENRP Handle Table Response (3)",
    m.HandleUpdate: "ENRP Handle Update (4)",
    m.ListRequest: "ENRP List Request (5)",
    m.ListResponse: "ENRP List Response (6)",
    m.InitTakeover: "ENRP Init Takeover (7)",
    m.InitTakeoverAck: "ENRP Init Takeover Ack (8)",
    m.TakeoverServer: "ENRP Takeover Server (9)",
    m.EnrpError: "ENRP Error (10)",
}


def packet(record: m.Message, tsn: int) -> bytes:
    """An IPv4 packet with one SCTP DATA chunk. A repeated transmission sequence number would not be dissected."""
    port, ppid = PORTS["enrp" if isinstance(record, m.EnrpMessage) else "asap"]
    octets = record.encode()
    chunk = struct.pack("!BBHIHHI", 0, 3, 16 + len(octets), tsn, 0, tsn, ppid) + octets
    sctp = struct.pack("!HHII", 40000, port, 1, 0) + chunk
    address = bytes([10, 44, 0, 1])
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(sctp), 0, 0, 64, 132, 0) + address * 2 + sctp


def capture(packets: list[bytes]) -> Iterator[bytes]:
    yield struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, RAW_IP)
    for number, octets in enumerate(packets):
        yield struct.pack("=IIII", number, 0, len(octets), len(octets)) + octets


@pytest.fixture(scope="module")
def dissected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """tshark's text for each of EVERY_MESSAGE."""
    if TSHARK is None:
        pytest.skip("tshark is not installed: the messages were not checked by an independent dissector")
    path: Path = tmp_path_factory.mktemp("capture") / "messages.pcap"
    packets = [packet(record, tsn) for tsn, (record, _) in enumerate(EVERY_MESSAGE)]
    path.write_bytes(b"".join(capture(packets)))
    run = subprocess.run([TSHARK, "-n", "-r", path, "-V"], capture_output=True, text=True, check=True, timeout=120)
    frames = ("\n" + run.stdout).split("\nFrame ")[1:]
    assert len(frames) == len(packets)
    return frames


@pytest.mark.parametrize("number", range(len(EVERY_MESSAGE)))
def test_message_is_dissected_as_its_type(dissected: list[str], number: int) -> None:
    text = dissected[number]
    assert f"Type: {TITLES[type(EVERY_MESSAGE[number][0])]}" in text
    assert "Malformed" not in text


def test_values_are_dissected(dissected: list[str]) -> None:
    text = dissected[[type(record) for record, _ in EVERY_MESSAGE].index(m.Registration)]
    for line in ("Pool Handle: 4563686f506f6f6c", "PE Identifier: 0xaabbcc01", "Port: 7777", "10.44.0.1"):
        assert line in text, text
