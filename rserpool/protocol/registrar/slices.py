"""Sizes of the slices into which a registrar cuts long walks over pool elements, to serve messages in between."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The work of one slice, by kind of walk, and the pauses between slices."""

    pause: float = 0.0
    """Pause between two slices of a long walk, in seconds. 0 still yields to pending messages."""
    taken_over: int = 250
    """Elements whose home changes per slice: about 1 ms among 100 000 elements, mostly cache misses."""
    scanned: int = 500
    """Own elements scanned per slice for newly taken-over ones (under 1 ms)."""
    audited: int = 1000
    """Elements of a peer marked, or swept, per slice of a handle table download (under 1 ms)."""
    connects: int = 10
    """Associations opened to taken-over elements per slice (under 2 ms, most of it in the transport)."""
    connect_retry: float = 0.02
    """Retry delay when the connect rate is exhausted, in seconds."""
    keep_alives: int = 100
    """Keep-alives with H=1 sent per slice. A slice may exceed this by one endpoint's worth, so at most twice as many
    (under 1 ms)."""
    confirmed: int = 50
    """Elements that have acknowledged their new home, announced to peers per slice (under 2 ms with some peers)."""
    confirmed_pause: float = 0.01
    """Seconds over which such acknowledgements are collected. Announcing each by itself would cost 3 times as much."""


DEFAULT_SLICES = Slices()
