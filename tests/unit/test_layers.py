"""Imports point down and never in a circle; the inner layers use neither sockets nor clocks (read from the sources)."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rserpool"
IMPURE = {"socket", "asyncio", "time", "random", "logging", "uvloop", "selectors", "threading", "os", "secrets"}
LAYERS = (
    ("errors", "_version"),
    ("model",),
    ("settings",),
    ("_fast.base",),
    ("_fast.codec",),
    ("_fast.handlespace",),
    ("_fast.lane",),
    ("_fast.io",),
    ("messages",),
    ("policies",),
    ("protocol",),
    ("protocol.registrar", "protocol.client", "protocol.session"),
    ("transport", "security"),
    ("registrar", "client"),
    ("blocking", "proxy", "gateway", "services", "tools", "dask"),
    ("cli",),
)
"""The lowest layer first. A module imports from its own part of a layer and from lower layers only: the parts of one
layer do not know one another."""
FREE = {"rserpool", "rserpool._fast"}
"""Packages without a layer: the public names, and the empty parent of the compiled layers."""
CYTHON_FROM = re.compile(r"^[ \t]*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]+)", re.MULTILINE)
CYTHON_IMPORT = re.compile(r"^[ \t]*c?import\s+([\w., \t]+)", re.MULTILINE)
Imported = tuple[str, tuple[str, ...]]
"""A module, and the names that are imported from it."""


def words(text: str) -> tuple[str, ...]:
    return tuple(part.split(" as ")[0].strip() for part in text.strip("() \n").split(",") if part.strip())


def imports(path: Path) -> Iterator[Imported]:
    """Imports of a source file, including those for type checking."""
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        for found in CYTHON_FROM.finditer(text):
            yield found[1], words(found[2])
        for found in CYTHON_IMPORT.finditer(text):
            for name in words(found[1]):
                yield name, ()
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ()
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, tuple(alias.name for alias in node.names)


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources(folder: Path) -> list[Path]:
    found = [path for suffix in ("py", "pyx", "pxd") for path in sorted(folder.rglob(f"*.{suffix}"))]
    assert found, folder
    return found


def graph(package: Path) -> dict[str, set[str]]:
    """Each module of a package with the modules of that package that it imports; a .pyx and its .pxd are one."""
    edges: dict[str, set[str]] = {module_name(path, package.parent): set() for path in sources(package)}
    for path in sources(package):
        module = module_name(path, package.parent)
        for target, names in imports(path):
            submodules = {f"{target}.{name}" for name in names} & edges.keys()
            edges[module] |= submodules
            if target in edges and len(submodules) < max(len(names), 1):
                edges[module].add(target)
        edges[module].discard(module)
    return edges


def layer_of(module: str) -> tuple[int, str]:
    """The number of a module's layer, and its part of the layer. The longest name that fits decides."""
    fitting = [
        (part, number)
        for number, parts in enumerate(LAYERS)
        for part in parts
        if f"{module}.".startswith(f"rserpool.{part}.")
    ]
    assert fitting, f"{module} has no layer: give it one in LAYERS"
    part, number = max(fitting, key=lambda found: len(found[0]))
    return number, part


def upward(edges: dict[str, set[str]]) -> list[str]:
    """The imports that do not point down."""
    wrong = []
    for module, targets in sorted(edges.items()):
        if module in FREE:
            continue
        number, part = layer_of(module)
        for target in sorted(targets - FREE):
            target_number, target_part = layer_of(target)
            if target_number > number or (target_number == number and target_part != part):
                wrong.append(f"{module} imports {target}")
    return wrong


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The modules of one import circle; empty if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_point_down() -> None:
    assert upward(graph(PACKAGE)) == []


def test_imports_have_no_circle() -> None:
    assert circle(graph(PACKAGE)) == []


@pytest.mark.parametrize("folder", ["_fast", "protocol"])
def test_inner_layers_have_no_input_and_output(folder: str) -> None:
    for path in sources(PACKAGE / folder):
        if PACKAGE / "_fast/io" in path.parents:
            continue
        outside = {name.split(".")[0] for name, _ in imports(path)} & IMPURE
        assert not outside, f"{path.relative_to(ROOT)} imports {outside}"


def test_few_modules_lie_outside_of_folders() -> None:
    assert not list((PACKAGE / "_fast").glob("*.pyx"))
    loose = {path.name for path in PACKAGE.glob("*.py")}
    assert len(loose) <= 5, loose


def test_checker_reads_every_form_of_import(tmp_path: Path) -> None:
    source = tmp_path / "x.pyx"
    source.write_text(
        "from libc.time cimport time\nimport socket, os\ncimport cython\n"
        "from rserpool._fast.base.wheel cimport (\n    Wheel,\n    Entry as E,\n)\n"
    )
    assert set(imports(source)) == {
        ("libc.time", ("time",)),
        ("rserpool._fast.base.wheel", ("Wheel", "Entry")),
        ("socket", ()),
        ("os", ()),
        ("cython", ()),
    }


def test_checker_finds_circles_and_upward_imports(tmp_path: Path) -> None:
    package = tmp_path / "rserpool"
    for name, text in {
        "__init__.py": "",
        "model/__init__.py": "",
        "model/a.py": "from rserpool.model import b",
        "model/b.pyx": "from rserpool.model.c cimport C",
        "model/c.pxd": "from rserpool.model.a cimport A",
        "client/__init__.py": "from rserpool.registrar import server",
        "registrar/__init__.py": "",
        "registrar/server.py": "import rserpool.cli",
        "cli/__init__.py": "",
    }.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    edges = graph(package)
    assert set(circle(edges)) == {"rserpool.model.a", "rserpool.model.b", "rserpool.model.c"}
    assert upward(edges) == [
        "rserpool.client imports rserpool.registrar.server",
        "rserpool.registrar.server imports rserpool.cli",
    ]
