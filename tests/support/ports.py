"""Free ports of this machine."""

import contextlib
import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that neither TCP nor UDP uses on the loopback address."""
    for _ in range(100):
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((HOST, 0))
            port: int = udp.getsockname()[1]
            with contextlib.suppress(OSError):
                tcp.bind((HOST, port))
                return port
    raise AssertionError("no port is free")
