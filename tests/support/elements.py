"""Pool Element parameters and ASAP messages built with struct alone, independent of the codec."""

import struct
from collections.abc import Sequence

RR, WRR, RAND, WRAND, PRIO = 1, 2, 3, 4, 5
LU, LUD, PLU, RLU = 0x40000001, 0x40000002, 0x40000003, 0x40000004
RPLU, RLUD, PLUD, RPLUD = 0xB0001001, 0xB0001002, 0xB0001003, 0xB0001004
WRAND_DPF, LU_DPF, LUD_DPF, PLU_DPF, PLUD_DPF = 0xB0002001, 0xB0002002, 0xB0002003, 0xB0002004, 0xB0002005

WORDS = {
    RR: 0,
    WRR: 1,
    RAND: 0,
    WRAND: 1,
    PRIO: 1,
    LU: 1,
    LUD: 2,
    PLU: 2,
    RLU: 1,
    RPLU: 2,
    RLUD: 2,
    PLUD: 2,
    RPLUD: 2,
    WRAND_DPF: 3,
    LU_DPF: 3,
    LUD_DPF: 4,
    PLU_DPF: 4,
    PLUD_DPF: 4,
}
"""Policy type: words of policy data (RFC 5356; rsplib's own types from 0xb0000000 on)."""


def parameter(kind: int, value: bytes) -> bytes:
    """One parameter with its padding (RFC 5354 3)."""
    return struct.pack(">HH", kind, 4 + len(value)) + value + bytes(-len(value) % 4)


def ipv4(last: int = 1) -> bytes:
    return parameter(1, bytes((10, 0, 0, last)))


def sctp(port: int = 7777, use: int = 0, last: int = 1, addresses: int = 1) -> bytes:
    return parameter(4, struct.pack(">HH", port, use) + b"".join(ipv4(last + i) for i in range(addresses)))


def tcp(port: int = 7777) -> bytes:
    return parameter(5, struct.pack(">HH", port, 0) + ipv4())


def policy(kind: int, values: Sequence[int] = ()) -> bytes:
    return parameter(8, struct.pack(f">I{len(values)}I", kind, *values))


def element(
    identifier: int,
    kind: int = RR,
    values: Sequence[int] = (),
    *,
    home: int = 0,
    life: int = 300,
    user: bytes | None = None,
    asap: bytes | None = None,
) -> bytes:
    """A whole Pool Element parameter; without ``asap`` in the form that a pool element sends."""
    parts = (sctp() if user is None else user) + policy(kind, values) + (asap or b"")
    return parameter(10, struct.pack(">IIi", identifier, home, life) + parts)


def message(kind: int, *parameters: bytes, flags: int = 0, unpadded: int = 0) -> bytes:
    """A message whose length leaves out the final ``unpadded`` octets of padding."""
    body = b"".join(parameters)
    return struct.pack(">BBH", kind, flags, 4 + len(body) - unpadded) + body


def handle_parameter(handle: bytes) -> bytes:
    return parameter(9, handle)


def identifier_parameter(identifier: int) -> bytes:
    return parameter(14, struct.pack(">I", identifier))
