"""Sizes of the slices into which a registrar cuts long walks over pool elements, to serve messages in between."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The work of one slice, by kind of walk, and the pauses between slices."""

    pause: float = 0.0
    """Pause between two slices of a long walk, in seconds. 0 still yields to pending messages."""
    taken_over: int = 250
    """The number of elements whose home changes in one slice. With 100 000 elements this takes about 1 ms, mostly for
    cache misses."""
    scanned: int = 500
    """The number of own elements in which one slice searches for those just taken over (under 1 ms)."""
    audited: int = 1000
    """The number of a peer's elements that one slice of a handle table download marks or sweeps (under 1 ms)."""
    connects: int = 10
    """Associations opened to taken-over elements per slice (under 2 ms, most of it in the transport)."""
    connect_retry: float = 0.02
    """Retry delay when the connect rate is exhausted, in seconds."""
    keep_alives: int = 100
    """Keep-alives with H=1 sent per slice. A slice may exceed this by one endpoint's worth, so at most twice as many
    (under 1 ms)."""
    confirmed: int = 50
    """The number of elements with an acknowledged new home that one slice announces to peers (under 2 ms with some
    peers)."""
    confirmed_pause: float = 0.01
    """Seconds over which such acknowledgements are collected. Announcing each by itself would cost 3 times as much."""


DEFAULT_SLICES = Slices()
