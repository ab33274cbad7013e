"""Notifies the service manager (systemd) when the program serves and when it stops (sd_notify)."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state such as ``READY=1``. Does nothing without a service manager."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
