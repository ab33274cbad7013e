"""The items that an application receives from a session."""

from dataclasses import dataclass
from typing import Self


class Data(bytes):
    """One message, or some octets of a byte stream over TCP. ``ppid`` is the payload protocol identifier; 0 over TCP
    and UDP."""

    ppid: int

    def __new__(cls, data: bytes, ppid: int = 0) -> Self:
        made = super().__new__(cls, data)
        made.ppid = ppid
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The user comes from another element, with the state that this element stored in a cookie (RFC 5352 3.8)."""

    cookie: bytes
    """The state as the previous element set it; already opened if cookies are sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieRejected:
    """The user echoed an invalid cookie; the session goes on without its state. ``reason`` says what is wrong with
    it."""

    reason: str
