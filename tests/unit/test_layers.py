"""Imports only point down, and the inner layers know neither sockets nor clocks (read off the sources)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rserpool"
PURE = {"socket", "asyncio", "time", "random", "logging", "uvloop", "selectors", "threading", "os", "secrets"}
LAYERS = ("_fast", "messages", "protocol", "transport", "registrar", "client", "blocking", "proxy", "cli")
"""Lowest first; what a module of one layer imports is of that layer or a lower one. client and registrar do not know
each other."""
CORE = ("base", "codec", "handlespace", "lane", "io")
"""The folders of _fast, lowest first."""
CIMPORT = re.compile(r"^\s*(?:from\s+(\S+)\s+c?import|c?import\s+(\S+))", re.MULTILINE)


def imports(path: Path) -> Iterator[str]:
    """The modules that a source imports."""
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        for found in CIMPORT.finditer(text):
            yield found[1] or found[2].rstrip(",")
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def sources(folder: str) -> list[Path]:
    found = [path for suffix in ("py", "pyx", "pxd") for path in (PACKAGE / folder).rglob(f"*.{suffix}")]
    assert found, folder
    return found


@pytest.mark.parametrize("folder", ["_fast", "protocol"])
def test_no_input_and_output_inside(folder: str) -> None:
    for path in sources(folder):
        if PACKAGE / "_fast/io" in path.parents:
            continue
        outside = {name.split(".")[0] for name in imports(path)} & PURE
        assert not outside, f"{path.name} imports {outside}"


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer != "messages"])
def test_imports_point_down(layer: str) -> None:
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) - {"messages"}
    if layer == "registrar":
        above.add("client")
    if layer == "client":
        above.add("registrar")
    for path in sources(layer):
        if path.suffix == ".pyi":
            continue
        wrong = {name for name in imports(path) if name.startswith("rserpool.") and name.split(".")[1] in above}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("folder", CORE)
def test_imports_of_the_core_point_down(folder: str) -> None:
    above = {f"rserpool._fast.{name}" for name in CORE[CORE.index(folder) + 1 :]}
    for path in sources(f"_fast/{folder}"):
        wrong = {name for name in imports(path) if any(f"{name}.".startswith(f"{upper}.") for upper in above)}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_the_checker_sees_imports(tmp_path: Path) -> None:
    source = tmp_path / "x.pyx"
    source.write_text("from libc.time cimport time\nimport socket, os\nfrom rserpool._fast.base.wheel cimport Wheel\n")
    assert list(imports(source)) == ["libc.time", "socket", "rserpool._fast.base.wheel"]
