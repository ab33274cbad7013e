"""Checks what a guest of the lab offers: kernel SCTP between two namespaces, and multicast."""

import os
import socket
import sys
from pathlib import Path

from tests.interop.guest import finding, out_directory


def main() -> None:
    with finding("guest") as found:
        found["user"] = os.getuid()
        found["protocols"] = Path("/proc/net/protocols").read_text().split()
        found["interfaces"] = sorted(path.name for path in Path("/sys/class/net").iterdir())
        found["arguments"] = sys.argv[1:]
    with finding("sctp"), socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, socket.IPPROTO_SCTP) as server:
        server.bind(("10.44.0.1", 3863))
        server.listen()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as user:
            user.connect(("10.44.0.1", 3863))
            user.send(b"hello")
            assert server.recv(100) == b"hello"
    with finding("multicast"):
        group = socket.inet_aton("239.0.0.50") + socket.inet_aton("10.44.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("239.0.0.50", 3863))
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            receiver.settimeout(5)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hello", ("239.0.0.50", 3863))
                assert receiver.recv(100) == b"hello"
    with finding("files"):
        (out_directory() / "kept").write_text("kept")
        Path("vanishes").write_text("vanishes")
    with finding("a failure"):
        raise ValueError("this one is meant to fail")


if __name__ == "__main__":
    main()
