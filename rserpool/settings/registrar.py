"""Settings of a registrar's ASAP and ENRP behaviour, with unit, effect and default."""

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
    """The registrar's server identifier, 1 to 0xffffffff. Use a random one unless it must be known (RFC 5353 3.2.1)."""

    identifier_drawn: bool = False
    """True if the identifier was drawn at random, so that another one may be drawn if it turns out to be in use."""

    profile: Profile = RFC
    """The dialect: ``rfc``, or ``rsplib`` for domains with rsplib's programs, which differ from the RFCs (registration
    lives in milliseconds, three elements per answer, short pool handles)."""

    keep_alive_interval: float = 5.0
    """Mean seconds between an acknowledged keep-alive and the next; each interval is drawn from +-50 % around it (RFC
    5352 3.5). A dead pool element is removed at most 1.5 * keep_alive_interval + keep_alive_timeout after its last
    answer. Half the interval doubles the load of keep-alives."""

    keep_alive_timeout: float = 5.0
    """Seconds within which a pool element must acknowledge a keep-alive; otherwise it is removed."""

    address_scope: Scope = Scope.SITE_LOCAL
    """Narrowest scope of an address that may be registered: ``loopback``, ``site-local`` or ``global``. With
    ``loopback``, pools work on one machine only."""

    announce_interval: float = 1.0
    """Seconds between announcements of a registrar without others nearby (T6-Serverannounce, RFC 5352 7.1)."""

    announce_timeout: float = 5.0
    """Seconds after its last announcement for which another registrar is counted (T7, RFC 5352 7.1)."""

    update_delay: float = 0.5
    """Seconds for which changes of a pool are collected before its subscribers get one update."""

    peer_heartbeat_cycle: float = 0.0
    """Seconds between two presences to every peer registrar (PEER-HEARTBEAT-CYCLE, RFC 5353 4.2). 0 uses the profile's:
    30 (rfc) or 2.444 (rsplib). A difference between two registrars is detected within one cycle."""

    max_time_last_heard: float = 0.0
    """Seconds of silence after which a peer registrar must prove that it is alive (MAX-TIME-LAST-HEARD, RFC 5353 4.2).
    0 uses the profile's: 61 (rfc) or 5 (rsplib). Elements of a dead registrar have a new home at most
    max_time_last_heard + 2 * max_time_no_response + takeover_expiry after its last message."""

    peer_update_window: float = 0.1
    """Seconds for which re-registrations of a pool element are collected after peer registrars got an update about it;
    then the peers get one update with the element's latest state. Removals and new home registrars are sent at once. A
    higher value saves work at the peers if elements change their load often, but delays what the peers answer by as
    much. 0 sends each update at once."""

    max_time_no_response: float = 5.0
    """Seconds within which a peer registrar must answer a presence, a list or a table request (MAX-TIME-NO-RESPONSE,
    RFC 5353 4.2)."""

    mentor_discovery_timeout: float = 5.0
    """Seconds for which a starting registrar looks for a peer from which to copy the handlespace. After that it serves
    without a copy."""

    takeover_expiry: float = 5.0
    """Seconds to wait for the other registrars to agree to a takeover. Afterwards it proceeds without the silent
    ones."""

    max_items: int = 0
    """Number of pool elements in a handle resolution answer if the request names none. 0 uses the profile's: all (rfc)
    or 3 (rsplib)."""

    max_bad_reports: int = 0
    """Number of unreachability reports at which a pool element is removed (RFC 5352 3.5). 0 uses the profile's: 4 (rfc)
    or 3 (rsplib)."""

    max_increment: int = 0
    """Number of a resolution answer's pool elements that count as used, so that the next answer begins after them. 0
    means one. Higher values suit users that use all elements of an answer."""

    distance_step: float = 0.05
    """Unit in seconds of the distances in the delay-penalty policies. Elements whose distances differ by less count as
    equally far."""

    max_table_elements: int = 1024
    """Largest number of pool elements in one response to a peer registrar that downloads the handle table (RFC 5353
    3.2.3). The size of a response has its own bound."""

    takeover_suggestions: bool = False
    """Suggest to peers which of this registrar's elements they should take over, and follow their suggestions, as
    rsplib does. Each element moves to the registrar whose identifier differs most from the element's, so that elements
    spread evenly. All registrars of a scope should use the same value."""

    limits: Limits = field(default_factory=Limits)
    """Bounds on everything that peers can make grow."""

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
        """The peer heartbeat cycle that is in force."""
        return self.peer_heartbeat_cycle or self.profile.peer_heartbeat_cycle

    @property
    def last_heard(self) -> float:
        """The longest silence of a peer registrar that is in force."""
        return self.max_time_last_heard or self.profile.max_time_last_heard
