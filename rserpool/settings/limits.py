"""Bounds on everything that a peer can make grow, each with the attack that it stops.

A reached bound is answered with an error cause and counted. It never raises an exception in the registrar (RFC 5355
2.1, 2.13, 2.14).
"""

from dataclasses import dataclass

from rserpool.settings.checks import check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound on what others can make a registrar store or do. All are positive. A rate is per second and enforced
    by a token bucket of size ``burst``."""

    associations: int = 20_000
    """Largest number of associations and connections. Each costs memory, so a flood of them is stopped: one more is
    aborted."""

    associations_per_host: int = 1024
    """Largest number of associations and connections from one address, so that one host cannot use up all of them. One
    more is aborted."""

    elements_per_association: int = 64
    """Largest number of pool elements registered over one association, so that one host cannot fill the handlespace.
    One more is rejected with cause 6."""

    elements_per_pool: int = 4096
    """Largest number of elements in one pool. It bounds the work for an answer and the answer's size. One more is
    rejected with cause 6."""

    rule_candidates: int = 1024
    """Largest number of pool elements passed to a custom policy: those that round robin would select next. A custom
    policy takes time for each element, and strangers may register many. The other elements are passed later."""

    pools: int = 10_000
    """Largest number of pools, against a flood of new pool handles. A registration in one more is rejected with cause
    6."""

    pool_handle_octets: int = 255
    """Octets of the longest pool handle in any message, because every answer must have room to repeat it. A longer one
    is answered with ASAP_ERROR, cause 3."""

    registration_rate: float = 10.0
    """Registrations and deregistrations per second over one association. Faster ones are rejected with cause 6."""

    registration_burst: int = 50
    """Number of registrations that may arrive at once before the rate applies."""

    registration_excess: float = 10.0
    """Seconds for which an association may exceed the registration rate before it is aborted."""

    resolution_rate: float = 100.0
    """Handle resolutions per second over one association. Faster ones are answered with cause 6."""

    resolution_burst: int = 500
    """Number of handle resolutions that may arrive at once before the rate applies."""

    subscriptions: int = 64
    """Largest number of pools that one association may subscribe to (S bit). Each costs memory and updates. For one
    more, the answer has A=0."""

    report_rate: float = 5.0
    """Unreachability reports per second over one association. Faster ones are ignored (RFC 5355 2.13)."""

    report_interval: float = 10.0
    """Once an association has sent enough reports about a pool element to remove it, its further reports about that
    element count only once in this many seconds."""

    probe_interval: float = 2.0
    """Seconds between two keep-alives that reports trigger at one pool element, after the first three. Nobody can make
    the registrar flood an element (RFC 5355 2.14)."""

    errors_per_second: float = 1.0
    """ASAP_ERROR messages per second to one association, and ENRP_ERROR messages per second to all peers, so that
    garbage received does not cause as much garbage sent."""

    errors_burst: int = 16
    """Number of ASAP_ERROR messages that may be sent at once before the rate applies."""

    addresses_per_transport: int = 32
    """Largest number of addresses in one transport parameter. More are rejected with cause 3."""

    min_registration_life: float = 1.0
    """Shortest registration life in seconds. Shorter ones, and negative ones except -1, are rejected with cause 3."""

    max_registration_life: float = 604_800.0
    """Seconds after which a registration ends unless it is renewed, even if it requested a longer life. A registration
    with infinite life (-1) does not end."""

    queued_octets: int = 262_144
    """Octets that may wait to be sent over one association. Beyond it the peer does not read and is aborted."""

    queued_octets_of_peers: int = 16_777_216
    """Octets that may wait to be sent to one peer registrar, enough for a whole handle table. Beyond it the association
    is aborted."""

    announcements: int = 64
    """Largest number of other registrars counted from their announcements (RFC 5352 3.6). A flood of forged ones cannot
    slow this registrar's own announcements down further."""

    peers: int = 32
    """Largest number of known peer registrars. Forged presences and peer lists cannot make this registrar connect to
    everybody. Further peers are ignored."""

    table_responses: int = 4096
    """Largest number of responses to one handle table request. A peer could set the more-flag without end (RFC 5353
    3.2.3). Beyond it the transfer is dropped and requested again later."""

    elements_per_peer: int = 1_000_000
    """Largest number of pool elements learnt from one peer registrar, so that a peer cannot fill the memory. Further
    ones are ignored."""

    resynchronisation_pause: float = 300.0
    """Longest pause in seconds between two downloads of a peer's table while its checksum keeps differing. The pauses
    double from 1 s, so that a checksum that never matches does not keep both registrars busy."""

    takeover_calls: float = 2000.0
    """Associations per second opened to the elements of a registrar that was taken over, so that thousands of hosts are
    not all contacted at once. Elements at the same address share an association; elements that already have one are
    notified at once."""

    takeover_calls_burst: int = 256
    """Number of such associations that may be opened at once before the rate applies."""

    announcement_rate: float = 100.0
    """Announcements processed per second. The rest of a flood is dropped unread."""

    def __post_init__(self) -> None:
        check_positive(self, prefix="limit_")
