"""Decides if a registration is acceptable, in itself and in its pool (RFC 5352 3.1), and makes the Pool Element
parameter to store."""

from dataclasses import replace

from rserpool._fast.handlespace.handlespace import Handlespace, Verdict
from rserpool._fast.handlespace.views import PoolElementView, PoolView
from rserpool._fast.lane.registration import AdmissionLimits
from rserpool.errors import Cause
from rserpool.messages import (
    POLICY_VALUES,
    OpaqueTransport,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    SCTPTransport,
    Transport,
    encode_pool_handle,
)
from rserpool.model.addresses import Scope, usable
from rserpool.protocol.registrar.association import Association
from rserpool.settings.limits import Limits
from rserpool.settings.profile import Profile
from rserpool.settings.registrar import Settings

INFINITE_LIFE = -1
DATA_ONLY = 0
TRANSPORT_USES = (0, 1)

DISTANCE_POLICIES = frozenset(
    {
        PolicyType.WEIGHTED_RANDOM_WITH_DPF,
        PolicyType.LEAST_USED_WITH_DPF,
        PolicyType.LEAST_USED_WITH_DEGRADATION_AND_DPF,
        PolicyType.PRIORITY_LEAST_USED_WITH_DPF,
        PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF,
    }
)
UNENCODABLE_BY_RSPLIB = frozenset(
    {PolicyType.PRIORITY_LEAST_USED_WITH_DPF, PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF}
)


class Refusal(Exception):
    """A request is refused, with the error cause to answer."""

    def __init__(self, reason: str, cause: Cause, information: bytes = b"") -> None:
        super().__init__(reason)
        self.cause = cause
        self.information = information


def life_microseconds(life: int, profile: Profile, limits: Limits) -> int | None:
    """The duration of a registration that asks for ``life`` units; None if it does not expire (RFC 5354 3.10)."""
    if life == INFINITE_LIFE:
        return None
    return min(life * profile.registration_life_unit, int(limits.max_registration_life * 1_000_000))


def check_policy(policy: Policy, profile: Profile) -> None:
    """Refuse an unknown policy (by Invalid Values, as ASAP has no cause of its own for it), or one that would crash a
    peer that has to store it."""
    if policy.policy_type not in POLICY_VALUES:
        raise Refusal(f"policy type 0x{policy.policy_type:08x} is unknown", Cause.INVALID_VALUES, policy.encode())
    if profile.refuse_peer_killers:
        weightless = policy.policy_type == PolicyType.WEIGHTED_RANDOM and policy.weight == 0
        if weightless or policy.policy_type in UNENCODABLE_BY_RSPLIB:
            reason = f"policy type 0x{policy.policy_type:08x} with these values would crash an rsplib peer"
            raise Refusal(reason, Cause.INVALID_VALUES, policy.encode())


def own_addresses(transport: Transport, association: Association, scope: Scope, limits: Limits) -> Transport:
    """Return the user transport with only those addresses that belong to the association and are within the address
    scope (RFC 5352 2.2.1). Refuse it if none is left."""
    if isinstance(transport, OpaqueTransport):
        return transport
    if transport.port == 0:
        raise Refusal("the user transport has port 0", Cause.INVALID_VALUES, transport.encode())
    if not isinstance(transport, SCTPTransport):
        if usable([transport.address], scope) and usable([transport.address], scope)[0] in association.hosts:
            return transport
        raise Refusal("the user transport's address is not the association's", Cause.INVALID_VALUES, transport.encode())
    if transport.transport_use not in TRANSPORT_USES:
        raise Refusal("the transport use is neither 0 nor 1", Cause.INVALID_VALUES, transport.encode())
    if len(transport.addresses) > limits.addresses_per_transport:
        raise Refusal("the user transport has too many addresses", Cause.INVALID_VALUES, transport.encode())
    kept = tuple(address for address in usable(transport.addresses, scope) if address in association.hosts)
    if not kept:
        raise Refusal("no user transport address is the association's", Cause.INVALID_VALUES, transport.encode())
    return transport if kept == transport.addresses else replace(transport, addresses=kept)


def with_distance(policy: Policy, association: Association, step: float) -> Policy:
    """Add the measured distance to the element to a delay-penalty policy: half the round trip in milliseconds, rounded
    to multiples of ``step`` seconds, so that jitter does not reorder pools."""
    if policy.policy_type not in DISTANCE_POLICIES:
        return policy
    round_trip = association.peer.round_trip() or 0.0
    distance = round(1000 * step * round(round_trip / 2 / step))
    *values, announced = policy.values
    return replace(policy, values=(*values, min(announced + distance, 0xFFFFFFFF)))


def acceptable(request: Registration, association: Association, settings: Settings) -> PoolElement:
    """Return the pool element to store: with this registrar as its home, and the association's addresses as its ASAP
    transport. Raises Refusal."""
    element = request.pool_element
    limits = settings.limits
    if not association.peer.sctp:
        reason = "pool elements register over SCTP only"
        raise Refusal(reason, Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS)
    if len(request.pool_handle) > settings.profile.max_pool_handle:
        unpadded = encode_pool_handle(request.pool_handle)[: 4 + len(request.pool_handle)]
        raise Refusal(f"the pool handle has {len(request.pool_handle)} octets", Cause.INVALID_VALUES, unpadded)
    if element.identifier == 0:
        raise Refusal("pool element identifier 0", Cause.INVALID_VALUES, element.encode())
    check_policy(element.policy, settings.profile)
    life = life_microseconds(element.registration_life, settings.profile, limits)
    if life is not None and life < limits.min_registration_life * 1_000_000:
        reason = f"a registration life of {element.registration_life} is too short"
        raise Refusal(reason, Cause.INVALID_VALUES, element.encode())
    user_transport = own_addresses(element.user_transport, association, settings.address_scope, limits)
    if not association.reachable:
        reason = "no address of the association is within the address scope"
        raise Refusal(reason, Cause.INVALID_VALUES, element.user_transport.encode())
    return PoolElement(
        identifier=element.identifier,
        home_identifier=settings.identifier,
        registration_life=element.registration_life,
        user_transport=user_transport,
        policy=with_distance(element.policy, association, settings.distance_step),
        asap_transport=SCTPTransport(
            port=association.peer.port, transport_use=DATA_ONLY, addresses=association.reachable
        ),
    )


def admission_limits(settings: Settings) -> AdmissionLimits:
    """The bounds within which fast lanes store a registration that ``acceptable`` would not change."""
    limits, profile = settings.limits, settings.profile
    shortest = -(-round(limits.min_registration_life * 1_000_000) // profile.registration_life_unit)
    return AdmissionLimits(
        handle_octets=min(profile.max_pool_handle, limits.pool_handle_octets),
        pools=limits.pools,
        elements_per_pool=limits.elements_per_pool,
        elements_per_association=limits.elements_per_association,
        addresses=limits.addresses_per_transport,
        shortest_life=max(shortest, 1),
    )


def check_room(
    association: Association, handle: bytes, old: PoolElementView | None, handlespace: Handlespace, limits: Limits
) -> None:
    """Refuse a registration that would exceed a bound. ``old`` is the element if it is registered already. Raises
    Refusal."""
    arrives = old is None or old.connection != association.number
    if arrives and association.registrant.elements >= limits.elements_per_association:
        raise Refusal("too many pool elements over one association", Cause.LACK_OF_RESOURCES)
    if old is not None:
        return
    pool = handlespace.pool(handle)
    if pool is None and handlespace.pool_count >= limits.pools:
        raise Refusal("too many pools", Cause.LACK_OF_RESOURCES)
    if pool is not None and pool.size >= limits.elements_per_pool:
        raise Refusal("too many pool elements in the pool", Cause.LACK_OF_RESOURCES)


def check_identity(association: Association, old: PoolElementView, holder: Association | None) -> None:
    """Refuse an identifier that another element of ours holds (RFC 5354 3.12.5). An element is the same if it registers
    over the same association or from the same host, or if its former association, ``holder``, is gone. Raises
    Refusal."""
    if old.connection != association.number and holder is not None and not holder.hosts & association.hosts:
        raise Refusal("the pool element identifier is taken", Cause.NON_UNIQUE_PE_IDENTIFIER)


def inconsistency(verdict: Verdict, pool: PoolView | None) -> Refusal:
    """The refusal of an element that differs from its pool (RFC 5352 3.1)."""
    assert pool is not None
    if verdict == Verdict.INCONSISTENT_POLICY:
        return Refusal("another policy than the pool's", Cause.INCONSISTENT_POOLING_POLICY, pool.policy_parameter)
    if verdict == Verdict.INCONSISTENT_TRANSPORT:
        reason = "another transport type than the pool's"
        return Refusal(reason, Cause.INCONSISTENT_TRANSPORT_TYPE, pool.transport_parameter)
    return Refusal("another transport use than the pool's", Cause.INCONSISTENT_DATA_CONTROL_CONFIGURATION)
