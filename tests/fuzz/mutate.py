"""Structure-aware mutation of ASAP and ENRP messages, deterministic for a seed.

A message is parsed leniently into a tree of parameters. The tree is damaged and written again with lengths that are
mostly correct, so that most mutants pass the outer checks and reach the inner ones.
"""

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
PROTOCOLS = ("asap", "enrp")
KNOWN_TYPES = (*range(1, 0x11), 0x803F)
UNKNOWN_TYPES = (0x0000, 0x0011, 0x003F, 0x3FFF, 0x4009, 0x4123, 0x8009, 0x8123, 0xC00A, 0xC123, 0xFFFF)
# Octets of fixed fields before nested parameters. Absent types have no nested parameters.
NESTED_AT = {0x03: 8, 0x04: 4, 0x05: 4, 0x06: 4, 0x07: 4, 0x0A: 12, 0x0B: 4, 0x0C: 0}
ENRP_FIXED = {0x04: 12, 0x07: 12, 0x08: 12, 0x09: 12}
ASAP_FIXED = {0x07: 4, 0x0A: 4}
ODD_WORDS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFF0, 0xFFFC, 0xFFFF)
Mutation = Callable[["Tree", random.Random], None]


@dataclass
class Node:
    """One parameter. ``length`` overrides the correct length, and ``padding`` the correct padding."""

    kind: int
    value: bytes
    inner: list["Node"] = field(default_factory=list)
    length: int | None = None
    padding: bytes | None = None

    def octets(self, depth: int = 0) -> tuple[bytes, bytes]:
        """Encode the parameter; returns it and its padding."""
        value = self.value + (join(self.inner, depth + 1) if depth < 40 else b"")
        length = len(value) + 4 if self.length is None else self.length
        padding = bytes(-len(value) % 4) if self.padding is None else self.padding
        return struct.pack("!HH", self.kind & 0xFFFF, length & 0xFFFF) + value, padding

    def copy(self) -> "Node":
        return Node(self.kind, self.value, [node.copy() for node in self.inner], self.length, self.padding)


@dataclass
class Tree:
    """A complete message: type, flags, fixed fields, parameters."""

    kind: int
    flags: int
    fixed: bytes
    nodes: list[Node]
    length: int | None = None
    count_padding: bool = False

    def octets(self) -> bytes:
        parts = [part for node in self.nodes for part in node.octets()]
        value = self.fixed + b"".join(parts)
        uncounted = len(parts[-1]) if parts and not self.count_padding else 0
        length = len(value) + 4 - uncounted if self.length is None else self.length
        return struct.pack("!BBH", self.kind & 0xFF, self.flags & 0xFF, length & 0xFFFF) + value

    def lists(self) -> list[list[Node]]:
        """All lists of parameters, at any depth."""
        found = [self.nodes]
        for nodes in found:
            found += [node.inner for node in nodes]
        return found

    def every_node(self) -> list[Node]:
        return [node for nodes in self.lists() for node in nodes]


def join(nodes: Sequence[Node], depth: int) -> bytes:
    """Encode nested parameters, without the padding of the last one, which belongs to the enclosing parameter."""
    parts = [part for node in nodes for part in node.octets(depth)]
    return b"".join(parts[:-1])


def read_nodes(octets: bytes, depth: int = 0) -> list[Node]:
    """Parse as many parameters as possible. The remaining octets become the last one's padding."""
    nodes = []
    while len(octets) >= 4:
        kind, length = struct.unpack_from("!HH", octets)
        if not 4 <= length <= len(octets):
            break
        nested = NESTED_AT.get(kind)
        value = octets[4:length]
        if nested is None or depth >= 4 or len(value) < nested:
            nodes.append(Node(kind, value))
        else:
            nodes.append(Node(kind, value[:nested], read_nodes(value[nested:], depth + 1)))
        octets = octets[length + -length % 4 :]
    return nodes


def read_tree(octets: bytes, protocol: str) -> Tree:
    kind, flags = (octets[0], octets[1]) if len(octets) >= 2 else (0, 0)
    fixed = ENRP_FIXED.get(kind, 8) if protocol == "enrp" else ASAP_FIXED.get(kind, 0)
    return Tree(kind, flags, octets[4 : 4 + fixed], read_nodes(octets[4 + fixed :]))


def any_node(tree: Tree, rng: random.Random) -> Node | None:
    nodes = tree.every_node()
    return rng.choice(nodes) if nodes else None


def delete(tree: Tree, rng: random.Random) -> None:
    nodes = rng.choice(tree.lists())
    if nodes:
        nodes.pop(rng.randrange(len(nodes)))


def duplicate(tree: Tree, rng: random.Random) -> None:
    nodes = rng.choice(tree.lists())
    if nodes:
        nodes.insert(rng.randrange(len(nodes) + 1), rng.choice(nodes).copy())


def multiply(tree: Tree, rng: random.Random) -> None:
    nodes = rng.choice(tree.lists())
    if nodes:
        nodes += [rng.choice(nodes).copy() for _ in range(rng.choice((2, 15, 16, 17, 31, 32, 33, 100)))]
        del nodes[2000:]


def swap(tree: Tree, rng: random.Random) -> None:
    nodes = rng.choice(tree.lists())
    rng.shuffle(nodes)


def move(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        rng.choice(tree.lists()).append(node.copy())


def insert_unknown(tree: Tree, rng: random.Random) -> None:
    nodes = rng.choice(tree.lists())
    for _ in range(rng.choice((1, 1, 1, 2, 16, 17))):
        node = Node(rng.choice(UNKNOWN_TYPES), rng.randbytes(rng.choice((0, 1, 3, 4, 5, 8, 40))))
        nodes.insert(rng.randrange(len(nodes) + 1), node)


def change_kind(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        node.kind = rng.choice(rng.choice((KNOWN_TYPES, UNKNOWN_TYPES, (rng.randrange(65536),))))


def change_value(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        node.value = damage(node.value, rng)


def resize_value(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        size = rng.choice((0, 1, 2, 3, 4, 8, 12, 16, 20, 255, 1024, 1025, 5000, 65000))
        node.value = (node.value + rng.randbytes(8) * (size // 8 + 1))[:size]


def lie_about_length(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        octets, padding = node.octets()
        true = len(octets)
        node.length = rng.choice((true - 1, true + 1, true + len(padding), true + 4, true - 4, rng.choice(ODD_WORDS)))


def odd_padding(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        node.padding = rng.choice((b"", b"\0", b"\xee" * (-len(node.value) % 4), b"\0\0\0\0", b"\xff\xff\xff\xff"))


def nest(tree: Tree, rng: random.Random) -> None:
    node = any_node(tree, rng)
    if node is not None:
        for _ in range(rng.choice((1, 3, 30))):
            node.inner = [Node(node.kind, node.value, node.inner)]


def header(tree: Tree, rng: random.Random) -> None:
    choice = rng.randrange(4)
    if choice == 0:
        tree.kind = rng.choice((rng.randrange(1, 16), rng.randrange(256)))
    elif choice == 1:
        tree.flags = rng.randrange(256)
    elif choice == 2:
        tree.fixed = damage(tree.fixed, rng)
    else:
        tree.length = rng.choice(ODD_WORDS)


def count_padding(tree: Tree, rng: random.Random) -> None:
    tree.count_padding = True


MUTATIONS: tuple[Mutation, ...] = (
    delete,
    duplicate,
    multiply,
    swap,
    move,
    insert_unknown,
    change_kind,
    change_value,
    resize_value,
    lie_about_length,
    odd_padding,
    nest,
    header,
    count_padding,
)


def damage(octets: bytes, rng: random.Random) -> bytes:
    """Flip a bit, change an octet or word, cut, insert or repeat something."""
    if not octets:
        return rng.randbytes(rng.randrange(9))
    at = rng.randrange(len(octets))
    choice = rng.randrange(6)
    if choice == 0:
        return octets[:at] + bytes([octets[at] ^ (1 << rng.randrange(8))]) + octets[at + 1 :]
    if choice == 1:
        return octets[:at] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF))]) + octets[at + 1 :]
    if choice == 2:
        return (octets[:at] + struct.pack("!H", rng.choice(ODD_WORDS)) + octets[at + 2 :])[: len(octets)]
    if choice == 3:
        return octets[:at]
    if choice == 4:
        return octets[:at] + rng.randbytes(rng.randrange(1, 9)) + octets[at:]
    return octets[:at] + octets[at : at + 16] + octets[at:]


def corpus() -> list[tuple[str, bytes]]:
    """(protocol, octets) of every stored test vector."""
    return [
        (vector["protocol"], bytes.fromhex(vector["hex"]))
        for path in sorted(VECTORS.glob("*.json"))
        for vector in json.loads(path.read_text())
        if vector.get("protocol") in PROTOCOLS
    ]


class Mutator:
    """An endless, reproducible source of hostile messages."""

    def __init__(self, seed: int, seeds: Sequence[tuple[str, bytes]] | None = None) -> None:
        self.rng = random.Random(seed)
        self.seeds = list(corpus() if seeds is None else seeds)

    def mutate(self, octets: bytes, protocol: str) -> bytes:
        """Return a mutant of a message; one in sixteen is unchanged."""
        rng = self.rng
        if rng.randrange(16) == 0:
            return octets
        if rng.randrange(3):
            tree = read_tree(octets, protocol)
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
                rng.choice(MUTATIONS)(tree, rng)
            octets = tree.octets()
        if rng.randrange(4) == 0:
            octets = damage(octets, rng)
        return octets[:70000]

    def splice(self, octets: bytes, other: bytes) -> bytes:
        """Join the head of one message to the tail of another."""
        return octets[: self.rng.randrange(len(octets) + 1)] + other[self.rng.randrange(len(other) + 1) :]

    def noise(self) -> bytes:
        """Random octets, half of them after a correct header."""
        octets = self.rng.randbytes(self.rng.choice((0, 1, 3, 4, 8, 16, 60, 300)))
        if self.rng.randrange(2):
            return octets
        return struct.pack("!BBH", self.rng.randrange(1, 16), self.rng.randrange(4), len(octets) + 4) + octets

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield (protocol, octets) endlessly."""
        while True:
            protocol, octets = self.rng.choice(self.seeds)
            choice = self.rng.randrange(40)
            if choice == 0:
                yield self.rng.choice(PROTOCOLS), self.noise()
            elif choice == 1:
                yield protocol, self.splice(octets, self.rng.choice(self.seeds)[1])
            elif choice == 2:
                yield self.rng.choice(PROTOCOLS), self.mutate(octets, protocol)
            else:
                yield protocol, self.mutate(octets, protocol)
