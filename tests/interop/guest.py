"""Boots one guest of the peer lab per test module, runs a scenario in it, and returns the findings for the tests to
check.

A scenario is a module of this package. It runs inside the guest as ``python -m tests.interop.NAME ARGUMENTS`` and
reports with ``finding()``. Its other output is kept as its log.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UML_RUN = ROOT / "ci/lab/uml-run"
OUT_VARIABLE = "RSERPOOL_LAB_OUT"
# The search path of users other than root often lacks the directories of ip and modprobe.
OWN_PROGRAMS = str(Path(sys.executable).parent)
PATH = ":".join(part for part in os.environ.get("PATH", "").split(":") if part != OWN_PROGRAMS)
PATH += ":/usr/local/sbin:/usr/sbin:/sbin"
"""Without this environment's programs: rspregistrar and others have the names of rsplib's."""
PREFIX = '{"finding": '
# Seconds after the time-out at which pytest kills uml-run. Before that, the guest ends its command at the time-out and
# uml-run ends the guest 20 s later.
LAST_RESORT = 40


@contextlib.contextmanager
def finding(name: str) -> Iterator[dict[str, Any]]:
    """Inside the guest: collect the values of one finding and print them, with the traceback if an error ended it."""
    values: dict[str, Any] = {}
    began = time.monotonic()
    try:
        yield values
        error = None
    except Exception:
        error = traceback.format_exc()
    record = {"finding": name, "error": error, "took": round(time.monotonic() - began, 3), **values}
    print(json.dumps(record), flush=True)


def out_directory() -> Path:
    """Inside the guest: the host directory for logs and captures."""
    return Path(os.environ[OUT_VARIABLE])


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one run in a guest: findings, log and files."""

    scenario: str
    status: int
    findings: Mapping[str, dict[str, Any]]
    log: str
    out: Path

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Return the values of one finding. AssertionError if the scenario failed in it or did not reach it."""
        if name not in self.findings:
            raise AssertionError(f"{self.scenario} ended with status {self.status} before it came to {name!r}")
        found = self.findings[name]
        assert found["error"] is None, f"{self.scenario} failed at {name!r}:\n{found['error']}"
        return found


def lacking(*programs: str) -> str:
    """Reason why the lab cannot run on this machine, or an empty string."""
    absent = [name for name in ("linux.uml", "ip", "modprobe", *programs) if shutil.which(name, path=PATH) is None]
    return f"{', '.join(absent)} not installed (ci/setup)" if absent else ""


def run(scenario: str, *arguments: str, timeout: int = 120, memory: str = "768M", dummies: int = 0) -> Report:
    """Boot a guest and run a scenario of this package in it for at most ``timeout`` seconds."""
    module = scenario if "." in scenario else f"tests.interop.{scenario}"
    return run_command(
        [sys.executable, "-m", module, *arguments],
        "-".join([scenario, *arguments]),
        timeout=timeout,
        memory=memory,
        dummies=dummies,
    )


def run_command(command: list[str], name: str, *, timeout: int, memory: str, dummies: int) -> Report:
    """Boot a guest and run a command in it. Findings, log and files are kept in out/interop/``name``."""
    out = ROOT / "out/interop" / name.replace("/", "-")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    uml = [str(UML_RUN), "--timeout", str(timeout), "--mem", memory, "--dummies", str(dummies), "--rw", str(out),
           "--modules", "veth bridge", "--chdir", str(ROOT), "--env", f"{OUT_VARIABLE}={out}",
           "--env", f"PATH={PATH}", "--", *command]  # fmt: skip
    with (out / "stdout").open("wb") as stdout, (out / "stderr").open("wb") as stderr:
        process = subprocess.Popen(uml, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL)
        try:
            status = process.wait(timeout + LAST_RESORT)
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise
    lines = (out / "stdout").read_text(errors="replace").splitlines()
    findings = [json.loads(line) for line in lines if line.startswith(PREFIX)]
    log = [line for line in lines if not line.startswith(PREFIX)]
    log += (out / "stderr").read_text(errors="replace").splitlines()
    return Report(
        scenario=name, status=status, findings={one["finding"]: one for one in findings}, log="\n".join(log), out=out
    )
