"""Tells the service manager that started this process when it serves and when it ends (sd_notify)."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state such as ``READY=1``; nothing happens without a service manager that listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
