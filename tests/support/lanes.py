"""Fast lanes for tests, without a registrar around them."""

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane, LaneContext
from rserpool._fast.lane.registration import AdmissionLimits, Registrant

LIMITS = AdmissionLimits(
    handle_octets=255, pools=9, elements_per_pool=9, elements_per_association=9, addresses=9, shortest_life=1
)


def lane_of(space: Handlespace, number: int = 1, context: LaneContext | None = None) -> Lane:
    """The lane of an association over which no new element can register, without rates that a test could reach."""
    if context is None:
        context = LaneContext(space, LIMITS, set(), {})
    return Lane(context, number, Registrant(b"", b""), Bucket(1e9, 1e9, 0), Bucket(1e9, 1e9, 0), set())
