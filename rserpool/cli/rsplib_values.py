"""How rspregistrar's options read their values: rsplib's units and ranges, beyond which a value is clipped."""

import ipaddress
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError

IDENTIFIER_MASK = 0xFFFFFFFF
MAX_ADDRESSES = 64
LONGEST = 0xFFFFFFFF


class ArgumentError(LocalProtocolError):
    """An argument that cannot be taken; its text says why in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What stands behind the equals sign of an option."""

    metavar: str
    read: Callable[[str], object]
    """Raises ValueError with a reason."""
    words: tuple[str, ...] = ()
    """Values that have names: all of them, or those besides an address."""
    is_file: bool = False
    lowest: float | None = None
    highest: float | None = None
    """The range, in the unit that the operator writes."""


@dataclass(frozen=True, slots=True)
class Where:
    """Addresses of one endpoint. Port 0 and no hosts mean: any."""

    hosts: tuple[str, ...]
    port: int

    def entries(self) -> tuple[str, ...]:
        """Each address with the port, as configuration files have them."""
        return tuple(f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in self.hosts)


AUTO = Where((), 0)
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


def count(lowest: int, highest: int = LONGEST, metavar: str = "number") -> Value:
    """A whole number within a range."""
    return Value(
        metavar=metavar,
        read=lambda text: int(clipped(whole_number(text), lowest, highest)),
        lowest=lowest,
        highest=None if highest == LONGEST else highest,
    )


def milliseconds(lowest: int, highest: int = LONGEST) -> Value:
    """Milliseconds within a range; read as seconds."""
    return Value(
        metavar="milliseconds",
        read=lambda text: clipped(decimal_number(text), lowest, highest) / 1000,
        lowest=lowest,
        highest=None if highest == LONGEST else highest,
    )


def seconds(lowest: float) -> Value:
    """Seconds, not fewer than so many."""
    return Value(
        metavar="seconds", read=lambda text: clipped(decimal_number(text), lowest, LONGEST), lowest=lowest, highest=None
    )


def rate() -> Value:
    """Requests per second; what is not above 0 means no limit, and is read as 0."""
    return Value(metavar="rate", read=lambda text: max(decimal_number(text), 0.0))


def identifier() -> Value:
    """32 bits; more are cut off. 0 stands for a random one."""
    return Value(metavar="identifier", read=lambda text: whole_number(text) & IDENTIFIER_MASK)


def word(choices: Mapping[str, object]) -> Value:
    """One of some words, which stand for something."""

    def read(text: str) -> object:
        if text not in choices:
            raise ValueError(f"it is one of {', '.join(choices)}")
        return choices[text]

    return Value(metavar="|".join(choices), read=read, words=tuple(choices))


def text() -> Value:
    return Value(metavar="name", read=str)


def file() -> Value:
    def read(path: str) -> str:
        if not path:
            raise ValueError("a file has a name")
        return path

    return Value(metavar="file", read=read, is_file=True)


def colour() -> Value:
    """On, unless it is off."""
    return Value(metavar="on|off", read=lambda text: text != "off", words=("on", "off"))


def endpoint() -> Value:
    """auto, or the addresses of an endpoint, of which the first may have a port that counts for all."""

    def read(listed: str) -> Where:
        return AUTO if listed == "auto" else addresses(listed, 0)

    return Value(metavar="auto|address[:port][,address...]", read=read, words=("auto",))


def group(default: Where) -> Value:
    """A multicast group, the default one, or none."""

    def read(listed: str) -> Where | None:
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

    def read(listed: str) -> Where:
        found = addresses(listed, port)
        if len(found.hosts) != 1:
            raise ValueError("only one address is possible")
        return found

    return Value(metavar="address[:port]", read=read)


def addresses(listed: str, default_port: int) -> Where:
    """Addresses or host names with commas between them; all have the port of the first."""
    parts = listed.split(",")
    if len(parts) > MAX_ADDRESSES:
        raise ValueError(f"more than {MAX_ADDRESSES} addresses")
    split = [split_port(part, default_port) for part in parts]
    return Where(tuple(resolved(host) for host, _ in split), split[0][1])


def split_port(part: str, default_port: int) -> tuple[str, int]:
    """HOST, HOST:PORT, [IPV6], [IPV6]:PORT or IPV6; an exclamation mark may stand for the last colon."""
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
        raise ValueError(f"{digits!r} is not a port")
    return int(digits)


def resolved(host: str) -> str:
    """An IP address; of a host name, the first that the resolver knows."""
    if is_address(host):
        return str(ipaddress.ip_address(host))
    try:
        found: Sequence[tuple[object, ...]] = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM) if host else []
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise ValueError(f"{host!r} is no address and no known host")
    where = found[0][4]
    assert isinstance(where, tuple)
    return str(where[0])
