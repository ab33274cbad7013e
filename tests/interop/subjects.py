"""On the host: the registrars that the scenarios run against, and the reasons to skip one."""

import importlib.util
import os

import pytest

from tests.interop import guest

PROGRAMS = ("rspserver", "rspregistrar", "rspterminal", "pingpongclient", "calcappclient", "tshark", "tcpdump")
TRANSPORTS = {"kernel": "rserpool._fast.io.kernel", "usrsctp": "rserpool._fast.io.usrsctp.socket"}
CONTROL = ("rsplib",) if os.environ.get("RSERPOOL_LAB_CONTROL") else ()
SUBJECTS = (*CONTROL, *TRANSPORTS)
OURS = "10.44.0.1"
SENT = f"ip.src == {OURS}"
"""tshark's display filter for packets from the registrar's host."""


def built(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def enrp_scenario(name: str, *arguments: str, timeout: int = 100) -> guest.Report:
    """Run a scenario of several registrars over kernel SCTP. Skips if the lab, rsplib or the transport is missing."""
    if why := guest.lacking(*PROGRAMS, "hsdump"):
        pytest.skip(why)
    if not built(TRANSPORTS["kernel"]):
        pytest.skip(f"{TRANSPORTS['kernel']} is not built (ci/setup)")
    return guest.run(name, *arguments, timeout=timeout)


def scenario(name: str, subject: str, timeout: int = 100) -> guest.Report:
    """Run a scenario against one subject. Skips if the lab, rsplib or the transport is missing."""
    if why := guest.lacking(*PROGRAMS):
        pytest.skip(why)
    if subject in TRANSPORTS and not built(TRANSPORTS[subject]):
        pytest.skip(f"{TRANSPORTS[subject]} is not built (ci/setup)")
    return guest.run(name, subject, timeout=timeout)
