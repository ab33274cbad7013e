"""The bounds on everything that a peer can make grow, each with the attack that it stops.

Reaching a bound is an answer with a cause and a counter, never an error inside the registrar (RFC 5355 2.1, 2.13,
2.14).
"""

from dataclasses import dataclass

from rserpool.settings.checks import check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound on what others can make a registrar keep or do. All are positive; rates are per second and count in a
    token bucket of ``burst``."""

    associations: int = 20_000
    """Associations and connections at a time: a flood of them costs memory for each. One more is aborted."""

    associations_per_host: int = 1024
    """Associations and connections from one address: one host cannot use up all of them. One more is aborted."""

    elements_per_association: int = 64
    """Pool elements registered over one association: one host cannot fill the handlespace. Cause 6 beyond it."""

    elements_per_pool: int = 4096
    """Pool elements of one pool: bounds the work and the size of one answer. Cause 6 beyond it."""

    rule_candidates: int = 1024
    """Pool elements of one pool that the rule of a custom policy is shown: those that round robin would take first. A
    rule costs time for each, and strangers may register many. The others wait for their turn."""

    pools: int = 10_000
    """Pools in the handlespace: a flood of new pool handles. Cause 6 beyond it."""

    pool_handle_octets: int = 255
    """Octets of the longest pool handle in any message: every answer must have room to repeat it. ASAP_ERROR with
    cause 3 beyond it."""

    registration_rate: float = 10.0
    """Registrations and deregistrations per second over one association. Cause 6 beyond it."""

    registration_burst: int = 50
    """Registrations that may come at once before the rate counts."""

    registration_excess: float = 10.0
    """Seconds for which an association may keep exceeding the registration rate before it is aborted."""

    resolution_rate: float = 100.0
    """Handle resolutions per second over one association. Cause 6 beyond it."""

    resolution_burst: int = 500
    """Handle resolutions that may come at once before the rate counts."""

    subscriptions: int = 64
    """Pools that one association may watch (the S bit): each costs memory and answers. The answer has A=0 beyond it."""

    report_rate: float = 5.0
    """Unreachability reports per second over one association. Ignored beyond it (RFC 5355 2.13)."""

    report_interval: float = 10.0
    """Seconds after which one association's report about the same pool element counts again, once it has used up as
    many as remove an element."""

    probe_interval: float = 2.0
    """Seconds between keep-alives that reports provoke at one pool element, once three have gone out at once:
    no registrar can be made to flood an element (RFC 5355 2.14)."""

    errors_per_second: float = 1.0
    """ASAP_ERROR messages per second to one association, and ENRP_ERROR messages to all peers: garbage in must not make
    as much garbage out."""

    errors_burst: int = 16
    """ASAP_ERROR messages that may go out at once before the rate counts."""

    addresses_per_transport: int = 32
    """Addresses of one transport parameter. Cause 3 beyond it."""

    min_registration_life: float = 1.0
    """Seconds of the shortest registration life accepted; shorter ones and negative ones other than -1 get cause 3."""

    max_registration_life: float = 604_800.0
    """Seconds after which a registration that was not renewed ends, however long a life it asked for. An infinite
    life (-1) has no end."""

    queued_octets: int = 262_144
    """Octets waiting to be sent over one association: a peer that does not read is aborted beyond it."""

    queued_octets_of_peers: int = 16_777_216
    """Octets waiting to be sent to one peer registrar: a whole table may be on its way. Aborted beyond it."""

    announcements: int = 64
    """Other registrars counted from their announcements (RFC 5352 3.6); a forged flood cannot make us silent."""

    peers: int = 32
    """Peer registrars known at a time: forged presences and lists must not make us call the world. Ignored beyond."""

    table_responses: int = 4096
    """Responses to one handle table request: a peer may set the more-flag for ever (RFC 5353 3.2.3). The transfer is
    dropped beyond it, and the peer is asked again later."""

    elements_per_peer: int = 1_000_000
    """Pool elements of one peer registrar: a peer cannot fill the memory. Further ones are ignored."""

    resynchronisation_pause: float = 300.0
    """Seconds of the longest pause between two downloads of a peer's table while its checksum keeps differing; the
    pauses double from 1 s (a checksum that never matches must not keep both registrars busy)."""

    takeover_calls: float = 2000.0
    """Associations per second that are opened to the elements of a registrar that was taken over: thousands of hosts
    must not all be called, and all answer, at once. Elements at one place share a call; where there is an association
    they need none."""

    takeover_calls_burst: int = 256
    """Such associations that may be opened at once before the rate counts."""

    announcement_rate: float = 100.0
    """Announcements looked at per second; the rest of a flood is dropped unread."""

    def __post_init__(self) -> None:
        check_positive(self)
