"""Reports the C compiler's warnings about our own Cython lines.

Compiles every extension's C file, without code generation, under the project's warning flags. Cython's own utility code
causes warnings too, so only warnings in code generated from our lines count. Cython writes a comment with the source
line before each statement, which shows where the code comes from.
"""

import hashlib
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FAST = Path("rserpool/_fast")
BUILD = Path("build/lint")
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wsign-compare", "-O1", "-fsyntax-only"]


class SourceWarning(NamedTuple):
    """A warning about one of our lines."""

    source: str
    line: int
    message: str
    code: str


def module_name(source: Path) -> str:
    return ".".join(source.with_suffix("").parts)


def generate(source: Path) -> Path:
    """Generate the C file of one extension in build/lint."""
    target = BUILD / f"{module_name(source)}.c"
    command = [sys.executable, "-m", "cython", "-3", "-X", "embedsignature=False", "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return target


def origins(text: str) -> list[tuple[str, int] | None]:
    """For each line of a generated C file, the source file and line that it was generated from, or None."""
    found: list[tuple[str, int] | None] = []
    ours = False
    here: tuple[str, int] | None = None
    for line in text.split("\n"):
        if section := re.match(r"/\* #### Code section: (\w+) ### \*/", line):
            ours, here = section[1] == "module_code", None
        elif marker := re.match(r'\s*/\* "(rserpool/[^"]+)":(\d+)$', line):
            here = (marker[1], int(marker[2]))
        found.append(here if ours else None)
        if line == "}":
            here = None
    return found


def warnings(source: Path) -> list[SourceWarning]:
    """The compiler's warnings about our lines of one extension."""
    target = generate(source)
    include = sysconfig.get_path("include")
    compiled = subprocess.run(
        ["gcc", *FLAGS, "-isystem", include, "-I", ".", str(target)], capture_output=True, text=True, check=False
    )
    if compiled.returncode:
        raise SystemExit(compiled.stderr)
    text = target.read_text()
    code, where = text.split("\n"), origins(text)
    found = []
    for match in re.finditer(rf"^{re.escape(str(target))}:(\d+):\d+: warning: (.*)$", compiled.stderr, re.MULTILINE):
        at = int(match[1]) - 1
        if origin := where[at]:
            found.append(SourceWarning(*origin, match[2], code[at].strip()))
    return found


def state(source: Path) -> str:
    """A digest of everything that the extension's warnings depend on."""
    digest = hashlib.sha256(f"{importlib.metadata.version('cython')} {sys.version} {FLAGS}".encode())
    for path in (source, Path(__file__), *sorted(FAST.rglob("*.pxd"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    BUILD.mkdir(parents=True, exist_ok=True)
    seen: set[tuple[str, int, str]] = set()
    for source in sorted(FAST.rglob("*.pyx")):
        stamp = BUILD / f"{module_name(source)}.clean"
        if stamp.exists() and stamp.read_text() == state(source):
            continue
        found = warnings(source)
        for warning in found:
            key = (warning.source, warning.line, warning.message)
            if key not in seen:
                seen.add(key)
                print(f"{warning.source}:{warning.line}: {warning.message}\n    {warning.code}")
        if not found:
            stamp.write_text(state(source))
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
