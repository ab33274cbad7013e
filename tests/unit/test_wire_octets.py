"""Only the codec reads and writes octets of messages (read off the sources)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rserpool"
CODEC = PACKAGE / "_fast/codec"
ALLOWED = {
    "client/session/cookie_sealing.py": "the format of sealed cookies is ours; peers only echo it",
    "registrar/instruments/csp.py": "rsplib's Component Status Protocol is another protocol",
    "_fast/io/usrsctp/stack.pyx": "draws a random seed",
}
"""Files that may handle octets, and why. The lane, the merge of handle tables and the answers from encoded runs are not
among them: they go through cursor.pxd and take the numbers of types from the codec."""
OCTETS = re.compile(r"^_?(data|octets|parameter|buffer|answer|received|head|packet)$")
"""Names of variables and attributes that hold octets of messages."""
NETWORK_ORDER = ("!", ">")
"""First character of a struct format on the wire. Native formats are arguments of system calls."""
NUMBER = re.compile(r"^cdef enum \w*|^    (?:T_|ASAP_|ENRP_)?([A-Z_]{4,}) = 0x", re.MULTILINE)
TEXT = {
    "an offset into octets": re.compile(r"\b_?(?:data|octets|message|parameter)\[\d+\]|\b_?(?:data|octets)\[\d*:\d*\]"),
    "an integer of octets": re.compile(r"\b(?:to_bytes|from_bytes)\("),
    "octets of a parameter": re.compile(r"b\"[^\"]*\\x?[0-9]"),
}


def holds_octets(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return OCTETS.match(node.id) is not None
    if isinstance(node, ast.Attribute):
        return OCTETS.match(node.attr) is not None
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode"


def is_constant(index: ast.expr) -> bool:
    if isinstance(index, ast.Slice):
        bounds = [bound for bound in (index.lower, index.upper) if bound is not None]
        return bool(bounds) and all(isinstance(bound, ast.Constant) for bound in bounds)
    return isinstance(index, ast.Constant) and isinstance(index.value, int)


def is_binary(octets: bytes) -> bool:
    return not all(0x20 <= octet <= 0x7E or octet in b"\r\n" for octet in octets)


def fault_of(node: ast.AST) -> str | None:
    """A short name of what a syntax node does with octets, or None."""
    if isinstance(node, ast.Subscript) and holds_octets(node.value) and is_constant(node.slice):
        return "an offset into octets"
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes) and is_binary(node.value):
        return "octets of a parameter"
    if isinstance(node, ast.Attribute) and node.attr in ("to_bytes", "from_bytes"):
        return "an integer of octets"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bytes":
        return "octets of a parameter" if node.args and isinstance(node.args[0], ast.Tuple | ast.List) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        first = node.args[0]
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "struct" and isinstance(first, ast.Constant):
            return "a struct in network order" if str(first.value).startswith(NETWORK_ORDER) else None
    return None


def known_numbers() -> set[str]:
    """The names of message types and parameter types, without the codec's prefixes."""
    texts = [(CODEC / name).read_text() for name in ("message_types.pxd", "tlv.pxd")]
    return {found[1] for text in texts for found in NUMBER.finditer(text) if found[1]}


def faults(path: Path) -> Iterator[str]:
    """The places of a source that handle octets of messages."""
    text = path.read_text()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if (fault := fault_of(node)) is not None:
                yield f"{path.name}:{getattr(node, 'lineno', 0)}: {fault}"
        return
    known = known_numbers()
    for number, line in enumerate(text.splitlines(), 1):
        for fault, pattern in TEXT.items():
            if pattern.search(line):
                yield f"{path.name}:{number}: {fault}"
        found = NUMBER.match(line)
        if found and found[1] in known:
            yield f"{path.name}:{number}: the number of {found[1]}"


def sources() -> list[Path]:
    found = [path for suffix in ("py", "pyx", "pxd") for path in PACKAGE.rglob(f"*.{suffix}")]
    return [path for path in found if CODEC not in path.parents]


def test_only_the_codec_handles_octets_of_messages() -> None:
    found = [fault for path in sources() if str(path.relative_to(PACKAGE)) not in ALLOWED for fault in faults(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ALLOWED)
def test_each_exception_is_still_needed(name: str) -> None:
    assert list(faults(PACKAGE / name))


@pytest.mark.parametrize(
    ("suffix", "line", "fault"),
    [
        ("py", "kind = data[0]", "an offset into octets"),
        ("py", "rest = self._buffer[4:]", "an offset into octets"),
        ("py", "host = transport.encode()[8:]", "an offset into octets"),
        ("py", "length = value.to_bytes(2)", "an integer of octets"),
        ("py", "identifier = int.from_bytes(part)", "an integer of octets"),
        ("py", r'handle = b"\x00\x09"', "octets of a parameter"),
        ("py", "head = bytes((4, 0))", "octets of a parameter"),
        ("py", 'head = struct.pack("!HH", 9, 4)', "a struct in network order"),
        ("pyx", "    if data[1] & SUBSCRIBE:", "an offset into octets"),
        ("pyx", "    length = int.from_bytes(part)", "an integer of octets"),
        ("pxd", "    POOL_HANDLE = 0x0009", "the number of POOL_HANDLE"),
        ("pxd", "    HANDLE_UPDATE = 0x04", "the number of HANDLE_UPDATE"),
    ],
)
def test_checker_finds_octets(tmp_path: Path, suffix: str, line: str, fault: str) -> None:
    source = tmp_path / f"x.{suffix}"
    source.write_text(line + "\n")
    assert list(faults(source)) == [f"x.{suffix}:1: {fault}"]


@pytest.mark.parametrize(
    "line",
    [
        "first = addresses[0]",
        "text = data[start:end]",
        'end = b"\\r\\n"',
        'linger = struct.pack("ii", 1, 0)',
        "b = bytes(4)",
    ],
)
def test_checker_passes_what_is_not_a_message(tmp_path: Path, line: str) -> None:
    source = tmp_path / "x.py"
    source.write_text(line + "\n")
    assert not list(faults(source))
