"""The history of a run, to read and to compare: the last events, and a checksum over all events."""

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import fields
from typing import Literal

from rserpool.errors import RemoteProtocolError
from rserpool.messages import TakeoverServer, decode
from tests.sim.clock import SECOND
from tests.sim.frames import QUESTION, unframe

KEPT = 20_000
Kind = Literal["asap", "enrp", "data", "text"]


class History:
    """Events in order. ``verbose`` prints each at once."""

    def __init__(self, *, kept: int = KEPT, verbose: bool = False) -> None:
        self._events: deque[tuple[int, Kind, str, bytes]] = deque(maxlen=kept)
        self._verbose = verbose
        self._deaf = False
        self.takeovers: dict[tuple[str, bytes], int] = {}
        """When each takeover was first announced, by (name of the sender, identifier of the target)."""
        self.digest = 0
        self.count = 0

    def keep_nothing(self) -> None:
        """Stop keeping and counting events, for measurements."""
        self._deaf = True

    def add(self, now: int, kind: Kind, who: str, data: bytes) -> None:
        """Add an event: a message with its sender and receiver, or a text with its subject."""
        if self._deaf:
            return
        self.count += 1
        self.digest = zlib.crc32(data, zlib.crc32(f"{now} {kind} {who} ".encode(), self.digest))
        if kind == "enrp" and data[0] == TakeoverServer.TYPE:
            self.takeovers.setdefault((who.split(">")[0], data[12:16]), now)
        event = (now, kind, who, data)
        self._events.append(event)
        if self._verbose:
            print(readable(event), flush=True)

    def text(self, now: int, who: str, text: str) -> None:
        """Add an event that is not a message."""
        self.add(now, "text", who, text.encode())

    def last(self, most: int) -> Iterator[str]:
        """The last events as lines, oldest first."""
        start = max(0, len(self._events) - most)
        for index, event in enumerate(self._events):
            if index >= start:
                yield readable(event)


def readable(event: tuple[int, Kind, str, bytes]) -> str:
    """Format one event as a line."""
    now, kind, who, data = event
    when = f"{now / SECOND:11.6f}"
    if kind == "text":
        return f"{when}  {who:<9} *** {data.decode()}"
    return f"{when}  {who:<9} {summary(data, kind)}"


def summary(data: bytes, kind: Literal["asap", "enrp", "data"]) -> str:
    """Format a message in short: its name and its fields that are not empty."""
    if kind == "data":
        control, data = unframe(data)
        if not control:
            one, other = QUESTION.unpack(data)
            return f"data {one} {other}"
        kind = "asap"
    try:
        message = decode(data, kind)
    except RemoteProtocolError as error:
        return f"{kind}: {data.hex()} ({error})"
    values = ((field.name, getattr(message, field.name)) for field in fields(message))
    return " ".join([type(message).__name__, *(f"{name}={short(value)}" for name, value in values if keeps(value))])


def keeps(value: object) -> bool:
    return value is not None and value is not False and value != ()


def short(value: object) -> str:
    """Shorten a value to fit into a line."""
    if isinstance(value, tuple):
        shown = ",".join(map(short, value[:8]))
        return f"[{shown},... {len(value)}]" if len(value) > 8 else f"[{shown}]"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value < 0x1000 else f"{value:08x}"
    if isinstance(value, bytes):
        return (
            value.decode("ascii", "backslashreplace")
            if value.isascii() and value.strip(b"\0") == value
            else value.hex()
        )
    for name in ("pool_elements", "transport"):
        inner = getattr(value, name, None)
        if inner is not None:
            key = getattr(value, "pool_handle", None) or getattr(value, "server_identifier", None)
            return f"{short(key)}:{short(inner)}"
    identifier = getattr(value, "identifier", None)
    if identifier is not None:
        home = getattr(value, "home_identifier", 0)
        return f"{identifier:08x}@{home:08x}"
    addresses = getattr(value, "addresses", None)
    if addresses is not None:
        return ",".join(map(str, addresses))
    code = getattr(value, "code", None)
    return f"cause {code}" if code is not None else str(value)
