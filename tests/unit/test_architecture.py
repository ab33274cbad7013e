"""docs/architecture.md names only paths, classes, functions and tables that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
OUTSIDE = ("tests/", "ci/", "docs/", "bench/")
NAMED = re.compile(r"`([\w./]+)::([\w.]+)`")
PATH = re.compile(r"`([\w.]+(?:/[\w.]*)+|\w+\.pyx?)`")
CYTHON_DEFINITION = r"^\s*(?:cdef|cpdef|def|class)\b[^=\n]*?\b{}\b\s*(?:\(|:|$)"


def located(path: str) -> Path:
    """The file or folder that a path of the page means."""
    return ROOT / path if path.startswith(OUTSIDE) else ROOT / "rserpool" / path


def definitions(tree: ast.Module) -> Iterator[str]:
    """The names that a Python module defines, those of a class with the class's name in front."""
    for node in tree.body:
        match node:
            case ast.ClassDef():
                yield node.name
                yield from (
                    f"{node.name}.{inner.name}"
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                )
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(name)):
                yield name
            case ast.Assign():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("path", sorted(set(PATH.findall(PAGE)) | {path for path, _ in NAMED.findall(PAGE)}))
def test_path_exists(path: str) -> None:
    assert located(path).exists()


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_name_exists(path: str, name: str) -> None:
    text = located(path).read_text()
    if path.endswith(".py"):
        assert name in set(definitions(ast.parse(text)))
    else:
        for part in name.split("."):
            assert re.search(CYTHON_DEFINITION.format(part), text, re.MULTILINE), part


def test_page_is_searched_for_names() -> None:
    assert len(NAMED.findall(PAGE)) > 40
    assert len(PATH.findall(PAGE)) > 40
