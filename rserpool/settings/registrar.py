"""What an operator may set of a registrar's ASAP behaviour, in seconds, with the effect of each."""

from dataclasses import dataclass, field, replace

from rserpool.model.addresses import Scope
from rserpool.settings.checks import LARGEST_NUMBER, check, check_positive, check_range
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RFC, Profile

MOST_BAD_REPORTS = 65_535
"""The largest count of unreachability reports that a pool element record can hold (16 bits). Higher limits are clamped
to it."""
MIN_DISTANCE_STEP = 0.001
COUNTS = ("max_items", "max_bad_reports", "max_increment")
MAY_BE_ZERO = ("peer_heartbeat_cycle", "max_time_last_heard", "peer_update_window", *COUNTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The registrar's protocol settings. Durations are in seconds."""

    identifier: int
    """The registrar's server identifier, 1 to 0xffffffff: random unless you must know it (RFC 5353 3.2.1)."""

    identifier_drawn: bool = False
    """Whether the identifier was drawn at random, so that another may be drawn where it turns out to be taken."""

    profile: Profile = RFC
    """The dialect: what the RFCs say, or what rsplib's programs expect where they differ from the RFCs (lives in
    milliseconds, three elements per answer, short pool handles)."""

    keep_alive_interval: float = 5.0
    """Seconds between an acknowledged keep-alive and the next, on average: each gap is drawn from +-50 % around it
    (RFC 5352 3.5). A dead pool element is removed at most 1.5 * keep_alive_interval + keep_alive_timeout after its last
    answer; halving it doubles the keep-alive load."""

    keep_alive_timeout: float = 5.0
    """Seconds within which a keep-alive must be acknowledged, or the pool element is removed."""

    address_scope: Scope = Scope.SITE_LOCAL
    """The least scope of an address that may be registered: ``loopback``, ``site-local`` or ``global``. With
    ``loopback``, pools work on one machine only; its addresses mean nothing on another."""

    announce_interval: float = 1.0
    """Seconds between announcements of a registrar that is alone (T6-Serverannounce, RFC 5352 7.1)."""

    announce_timeout: float = 5.0
    """Seconds after which another registrar that was heard announcing is no longer counted (T7, RFC 5352 7.1)."""

    update_delay: float = 0.5
    """Seconds for which changes of a pool are gathered before its subscribers are sent one update."""

    peer_heartbeat_cycle: float = 0.0
    """Seconds between two presences to every peer registrar (PEER-HEARTBEAT-CYCLE, RFC 5353 4.2); 0 means what the
    profile says, 30 or 2.444. A difference between two registrars is noticed within one cycle."""

    max_time_last_heard: float = 0.0
    """Seconds of silence after which a peer registrar is asked for a sign of life (MAX-TIME-LAST-HEARD, RFC 5353 4.2);
    0 means what the profile says, 61 or 5. A dead registrar's elements have a new home at most
    max_time_last_heard + 2 * max_time_no_response + takeover_expiry after it was heard last."""

    peer_update_window: float = 0.1
    """Seconds, after peer registrars have been told of a pool element, within which they are not told of its
    re-registrations one by one: at the end they are told once how it is then. Removals and new homes are told at once.
    Raising it spares peers of elements that change their load often, and lets what peers answer lag by as much; 0 turns
    it off."""

    max_time_no_response: float = 5.0
    """Seconds within which a peer registrar must answer a presence, a list or a table request (MAX-TIME-NO-RESPONSE,
    RFC 5353 4.2)."""

    mentor_discovery_timeout: float = 5.0
    """Seconds for which a starting registrar waits for a peer to learn the handlespace from, before it serves alone."""

    takeover_expiry: float = 5.0
    """Seconds to wait for the other registrars' consent to a takeover; those that are silent then do not count."""

    max_items: int = 0
    """Pool elements in a handle resolution answer when the request names no number; 0 means what the profile says, all
    or 3."""

    max_bad_reports: int = 0
    """Unreachability reports at which a pool element is removed (RFC 5352 3.5); 0 means what the profile says, 4 or
    3."""

    max_increment: int = 0
    """How many of a resolution answer's pool elements count as used, so that the next answer begins after them; 0 means
    one. More spreads users further who take all the elements of an answer."""

    distance_step: float = 0.05
    """Seconds, in multiples of which the delay-penalty policies measure how far away a pool element is: what differs by
    less than a step is equally far."""

    max_table_elements: int = 1024
    """Pool elements in one response to a peer registrar that downloads the handle table (RFC 5353 3.2.3). The size of
    a response is bounded besides."""

    takeover_suggestions: bool = False
    """Whether this registrar suggests to peers, as rsplib's may, which of its elements they should take over, and
    follows their suggestions: each element moves to the registrar whose identifier differs most from the element's, so
    that elements spread evenly. All of a scope should agree."""

    limits: Limits = field(default_factory=Limits)
    """The bounds on what peers can make grow."""

    def __post_init__(self) -> None:
        check_positive(self, may_be_zero=MAY_BE_ZERO)
        check_range(self, ("identifier", "max_table_elements"), 1, LARGEST_NUMBER)
        check_range(self, COUNTS, 0, LARGEST_NUMBER)
        step = self.distance_step
        check(step >= MIN_DISTANCE_STEP, "distance_step", f"must be at least {MIN_DISTANCE_STEP}", step)
        if self.max_items:
            object.__setattr__(self, "profile", replace(self.profile, default_items=self.max_items))
        if self.max_bad_reports:
            reports = min(self.max_bad_reports, MOST_BAD_REPORTS) - 1
            object.__setattr__(self, "profile", replace(self.profile, bad_reports=reports))

    @property
    def heartbeat(self) -> float:
        """The peer heartbeat cycle in force."""
        return self.peer_heartbeat_cycle or self.profile.peer_heartbeat_cycle

    @property
    def last_heard(self) -> float:
        """The longest silence of a peer in force."""
        return self.max_time_last_heard or self.profile.max_time_last_heard
