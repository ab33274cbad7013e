from collections.abc import Callable
from typing import Any

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.load_meter import Pulse
from rserpool._fast.lane.registration import Guest, Terms

class Tally:
    def take(self) -> tuple[int, int, int, int]: ...

class Lane:
    renewed: Callable[[], None] | None
    used: bool
    pulse: Pulse | None
    def __new__(
        cls,
        handlespace: Handlespace,
        tally: Tally,
        number: int,
        terms: Terms,
        guest: Guest,
        registrations: Bucket,
        resolutions: Bucket,
        subscriptions: set[bytes],
        unconfirmed: set[Any],
        claims: dict[Any, Any],
    ) -> Lane: ...
    def answer(self, data: bytes, now: int) -> bytes | None: ...
    def serve(self, data: bytes, seconds: float) -> tuple[bytes, int]: ...
