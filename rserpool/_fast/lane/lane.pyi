from collections.abc import Callable
from typing import Any

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.journal import Journal
from rserpool._fast.lane.load_meter import LoadMeter
from rserpool._fast.lane.registration import AdmissionLimits, Registrant

class LaneCounters:
    @property
    def resolutions(self) -> int: ...
    @property
    def acknowledgements(self) -> int: ...
    @property
    def reregistrations(self) -> int: ...
    @property
    def registrations(self) -> int: ...
    @property
    def declined(self) -> int: ...

class LaneContext:
    journal: Journal | None
    def __new__(
        cls, handlespace: Handlespace, limits: AdmissionLimits, unconfirmed: set[Any], claims: dict[Any, Any]
    ) -> LaneContext: ...
    @property
    def handlespace(self) -> Handlespace: ...
    @property
    def counters(self) -> LaneCounters: ...

class Lane:
    renewed: Callable[[], None] | None
    used: bool
    declined: bool
    @property
    def context(self) -> LaneContext: ...
    load_meter: LoadMeter | None
    def __new__(
        cls,
        context: LaneContext,
        number: int,
        registrant: Registrant,
        registrations: Bucket,
        resolutions: Bucket,
        subscriptions: set[bytes],
    ) -> Lane: ...
    def answer(self, data: bytes, now: int) -> bytes | None: ...
    def serve(self, data: bytes, seconds: float) -> tuple[bytes, int]: ...
