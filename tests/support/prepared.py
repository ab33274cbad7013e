"""Programs that start at once: forked from a process that has already imported what they need.

An interpreter that starts and imports asyncio takes a guest of the peer lab (one processor, slow system calls) a second
and more, which would delay the programs whose reaction to a failure is measured. ``python -m tests.support.prepared``
imports everything, and then starts a program for each line of its input, an Order as JSON. It answers with the process
identifier.
"""

import contextlib
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.interop.network import enter


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A Python module to run as a program, the files for its output, and its network namespace."""

    module: str
    arguments: list[str]
    output: str
    errors: str
    namespace: str | None


def begin(order: Order) -> None:
    """Become that program, in the forked process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if order.namespace is not None:
        enter(os.open(order.namespace, os.O_RDONLY | os.O_CLOEXEC))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, order.output), (2, order.errors)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.argv[1:] = order.arguments
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    import rserpool.cli.registrar
    import rserpool.client
    import rserpool.registrar.server
    import rserpool.transport.choose

    with contextlib.suppress(ImportError):
        import rserpool.transport.sctp.kernel
    with contextlib.suppress(ImportError):
        import rserpool.transport.sctp.usrsctp

    rserpool.client.Sealer({1: bytes(32)})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    print("prepared", flush=True)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if not child:
            begin(order)
            return
        print(child, flush=True)


class Program:
    """A running process; its output and its errors are in files."""

    def __init__(self, identifier: int, output: Path, errors: Path) -> None:
        self.identifier = identifier
        self.output, self.errors = output, errors

    def alive(self) -> bool:
        try:
            os.kill(self.identifier, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.identifier, signal.SIGKILL)


class Prepared:
    """One such process; a context manager that ends it and all programs that it started."""

    def __init__(self, out: Path) -> None:
        """``out`` is the directory for what the programs write."""
        self.out = out
        self.programs: list[Program] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.prepared"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer("prepared")

    def _answer(self, pattern: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert re.fullmatch(pattern, line), line
        return line

    def start(self, tag: str, module: str, arguments: list[str], namespace: str | None = None) -> Program:
        """Start a program whose output goes into ``<tag>.out`` and whose errors go into ``<tag>.err``."""
        assert self.process.stdin is not None
        output, errors = self.out / f"{tag}.out", self.out / f"{tag}.err"
        for path in (output, errors):
            path.touch()
        order = Order(module=module, arguments=arguments, output=str(output), errors=str(errors), namespace=namespace)
        self.process.stdin.write(json.dumps(asdict(order)) + "\n")
        self.process.stdin.flush()
        self.programs.append(Program(int(self._answer(r"\d+")), output, errors))
        return self.programs[-1]

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            program.kill()
        self.process.kill()
        self.process.communicate()


if __name__ == "__main__":
    main()
