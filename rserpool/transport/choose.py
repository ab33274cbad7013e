"""Chooses the SCTP transport: the kernel's if the machine has it, otherwise libusrsctp over UDP in this process."""

import importlib
import importlib.util
import socket

from rserpool.transport.interface import Transport, TransportUnavailable, Tuning

SCTP = 132


def kernel_has_sctp() -> bool:
    """Return True if a one-to-many SCTP socket can be opened. This loads the kernel's module if that is allowed."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, SCTP).close()
    except OSError:
        return False
    return True


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def choose(name: str = "auto", *, tuning: Tuning | None = None) -> tuple[Transport, str]:
    """Return the transport of that name ("auto", "kernel", "usrsctp"), and the reason for the choice.

    TransportUnavailable; its text says what to install.
    """
    tuning = tuning or Tuning()
    if name == "kernel":
        return _kernel(tuning), "kernel SCTP, as requested"
    if name == "usrsctp":
        return _usrsctp(tuning), "libusrsctp over UDP, as requested"
    if name != "auto":
        raise ValueError(f"no such transport: {name!r} (auto, kernel, usrsctp)")
    if not kernel_has_sctp():
        return _usrsctp(tuning), "libusrsctp over UDP, because this kernel has no SCTP (modprobe sctp)"
    if not _has("sctp"):
        return _usrsctp(tuning), "libusrsctp over UDP, because pysctp is missing (pip install rserpool[kernel])"
    return _kernel(tuning), "kernel SCTP, because this kernel has it"


def _kernel(tuning: Tuning) -> Transport:
    if not kernel_has_sctp():
        raise TransportUnavailable("this kernel has no SCTP: modprobe sctp, or use --transport=usrsctp")
    if not _has("sctp"):
        raise TransportUnavailable("kernel SCTP needs pysctp: pip install rserpool[kernel]")
    from rserpool.transport.sctp.kernel import KernelTransport

    return KernelTransport(tuning)


def _usrsctp(tuning: Tuning) -> Transport:
    try:
        importlib.import_module("rserpool._fast.io.usrsctp.socket")
    except ImportError as error:
        raise TransportUnavailable(
            f"no SCTP: modprobe sctp and pip install rserpool[kernel], or install libusrsctp ({error})"
        ) from None
    from rserpool.transport.sctp.usrsctp import UsrsctpTransport

    return UsrsctpTransport(tuning)
