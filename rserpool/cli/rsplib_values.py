"""Read the values of rspregistrar's options, in rsplib's units. As in rsplib, numbers out of range are clipped."""

import ipaddress
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError
from rserpool.settings.checks import LARGEST_NUMBER

MAX_ADDRESSES = 64


class ArgumentError(LocalProtocolError):
    """An argument is unknown or has a bad value; the text says why in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The kind of value that an option takes after its equals sign."""

    metavar: str
    read: Callable[[str], object]
    """Raises ValueError with a reason."""
    words: tuple[str, ...] = ()
    """Words that the option accepts, alone or in addition to an address."""
    is_file: bool = False
    lowest: float | None = None
    highest: float | None = None
    """The range, in the unit of the command line; None if there is no bound."""


@dataclass(frozen=True, slots=True)
class Place:
    """Addresses and port of one endpoint. Without hosts any address is meant; port 0 means any port."""

    hosts: tuple[str, ...]
    port: int

    def entries(self) -> tuple[str, ...]:
        """Each address with the port, in the form of configuration files."""
        return tuple(f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in self.hosts)


AUTO = Place((), 0)
OFF = None


def clipped(number: float, lowest: float, highest: float) -> float:
    return min(max(number, lowest), highest)


def whole_number(text: str) -> int:
    """A decimal number, or a hexadecimal one after 0x."""
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text, 10)
    except ValueError:
        raise ValueError("not a number") from None


def decimal_number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(found):
        raise ValueError("not a number")
    return found


def count(lowest: int, highest: int = LARGEST_NUMBER, metavar: str = "number") -> Value:
    """A whole number within a range."""
    return Value(
        metavar=metavar,
        read=lambda text: int(clipped(whole_number(text), lowest, highest)),
        lowest=lowest,
        highest=None if highest == LARGEST_NUMBER else highest,
    )


def milliseconds(lowest: int, highest: int = LARGEST_NUMBER) -> Value:
    """Milliseconds within a range; read as seconds."""
    return Value(
        metavar="milliseconds",
        read=lambda text: clipped(decimal_number(text), lowest, highest) / 1000,
        lowest=lowest,
        highest=None if highest == LARGEST_NUMBER else highest,
    )


def seconds(lowest: float) -> Value:
    """Seconds, at least ``lowest``."""
    return Value(
        metavar="seconds",
        read=lambda text: clipped(decimal_number(text), lowest, LARGEST_NUMBER),
        lowest=lowest,
        highest=None,
    )


def rate() -> Value:
    """Requests per second. 0 and negative numbers mean no limit and are read as 0."""
    return Value(metavar="rate", read=lambda text: max(decimal_number(text), 0.0))


def identifier() -> Value:
    """A 32-bit number; higher bits are cut off, as in rsplib. 0 means a random identifier."""
    return Value(metavar="identifier", read=lambda text: whole_number(text) & LARGEST_NUMBER)


def word(choices: Mapping[str, object]) -> Value:
    """Read one of several words as the value that it stands for."""

    def read(text: str) -> object:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choices[text]

    return Value(metavar="|".join(choices), read=read, words=tuple(choices))


def text() -> Value:
    return Value(metavar="name", read=str)


def file() -> Value:
    def read(path: str) -> str:
        if not path:
            raise ValueError("the file name is missing")
        return path

    return Value(metavar="file", read=read, is_file=True)


def colour() -> Value:
    """Anything but ``off`` means on."""
    return Value(metavar="on|off", read=lambda text: text != "off", words=("on", "off"))


def endpoint() -> Value:
    """``auto``, or the addresses of an endpoint. The port of the first address is the port of all."""

    def read(listed: str) -> Place:
        return AUTO if listed == "auto" else addresses(listed, 0)

    return Value(metavar="auto|address[:port][,address...]", read=read, words=("auto",))


def group(default: Place) -> Value:
    """A multicast group, ``auto`` for the default one, or ``off`` or ``none``."""

    def read(listed: str) -> Place | None:
        if listed in ("off", "none"):
            return OFF
        if listed == "auto":
            return default
        found = addresses(listed, default.port)
        if len(found.hosts) != 1 or not ipaddress.ip_address(found.hosts[0]).is_multicast:
            raise ValueError("not a multicast group")
        return found

    return Value(metavar="auto|off|none|group[:port]", read=read, words=("auto", "off", "none"))


def peer(port: int) -> Value:
    """The addresses of one peer."""
    return Value(metavar="address[:port][,address...]", read=lambda listed: addresses(listed, port))


def address(port: int) -> Value:
    """One address."""

    def read(listed: str) -> Place:
        found = addresses(listed, port)
        if len(found.hosts) != 1:
            raise ValueError("only one address is allowed")
        return found

    return Value(metavar="address[:port]", read=read)


def addresses(listed: str, default_port: int) -> Place:
    """Addresses or host names, separated by commas. The port of the first is the port of all."""
    parts = listed.split(",")
    if len(parts) > MAX_ADDRESSES:
        raise ValueError(f"more than {MAX_ADDRESSES} addresses")
    split = [split_port(part, default_port) for part in parts]
    return Place(tuple(resolved(host) for host, _ in split), split[0][1])


def split_port(part: str, default_port: int) -> tuple[str, int]:
    """Split HOST, HOST:PORT, [IPV6], [IPV6]:PORT or IPV6. The last colon may be an exclamation mark, as in rsplib."""
    if part.startswith("["):
        host, bracket, rest = part[1:].partition("]")
        if not bracket or (rest and rest[0] not in ":!"):
            raise ValueError(f"{part!r} is not an address")
        return host, port_number(rest[1:]) if rest else default_port
    if is_address(part):
        return part, default_port
    mark = "!" if "!" in part else ":"
    host, found, port = part.rpartition(mark)
    return (host, port_number(port)) if found else (part, default_port)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def port_number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
        raise ValueError(f"{digits!r} is not a port from 1 to 65535")
    return int(digits)


def resolved(host: str) -> str:
    """An IP address. A host name is resolved to its first address."""
    if is_address(host):
        return str(ipaddress.ip_address(host))
    try:
        found: Sequence[tuple[object, ...]] = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM) if host else []
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise ValueError(f"{host!r} is neither an IP address nor a known host name")
    where = found[0][4]
    assert isinstance(where, tuple)
    return str(where[0])
