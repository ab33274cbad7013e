"""What comes out of a session."""

from dataclasses import dataclass
from typing import Self


class Data(bytes):
    """One message, or a run of octets where the transport is a byte stream. ``ppid`` is its payload protocol
    identifier, 0 where the transport has none."""

    ppid: int

    def __new__(cls, data: bytes, ppid: int = 0) -> Self:
        made = super().__new__(cls, data)
        made.ppid = ppid
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The user was with another element before, and this is the state which that one left with it."""

    cookie: bytes
    """As it was given to the session there: opened, where cookies are sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieRejected:
    """The user echoed a cookie that is not to be trusted: the session goes on without its state."""

    reason: str
