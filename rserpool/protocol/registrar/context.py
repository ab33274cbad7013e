"""Holds what all of a registrar's state machines share."""

from dataclasses import dataclass, field
from functools import partial

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.counters import Counters
from rserpool.protocol.policy_failures import PolicyFailures
from rserpool.protocol.randomness import Randomness
from rserpool.protocol.registrar.access import UNRESTRICTED, Access
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.peers import PeerRegistrar
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.protocol.registrar.watching import Watching
from rserpool.settings.registrar import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarContext:
    """The state that the machines of one registrar share. Each machine gets this context instead of the other
    machines."""

    settings: Settings
    handlespace: Handlespace
    wheel: Wheel
    randomness: Randomness
    slices: Slices = DEFAULT_SLICES
    access: Access = UNRESTRICTED
    watching: Watching
    counters: Counters = field(default_factory=partial(Counters, Count))
    associations: dict[int, Association] = field(default_factory=dict)
    """ASAP's associations and connections, by number. ASAP adds and removes them."""
    peers: dict[int, PeerRegistrar] = field(default_factory=dict)
    """The peer registrars, by server identifier. ENRP adds and removes them."""

    @property
    def identifier(self) -> int:
        """This registrar's server identifier."""
        return self.settings.identifier

    @property
    def keep_alive_timeout(self) -> int:
        """Microseconds within which a keep-alive must be acknowledged."""
        return round(self.settings.keep_alive_timeout * MICROSECONDS)

    def has_linked_peers(self) -> bool:
        """True if any peer registrar has an association."""
        for peer in self.peers.values():  # noqa: SIM110 - any() makes re-registrations 20 % dearer
            if peer.link is not None:
                return True
        return False


def new_context(
    settings: Settings,
    randomness: Randomness,
    *,
    seed: int,
    now: int,
    slices: Slices = DEFAULT_SLICES,
    access: Access = UNRESTRICTED,
) -> RegistrarContext:
    """Make the context of a registrar that knows nothing yet, with an empty handlespace that follows the settings."""
    wheel = Wheel(now)
    handlespace = Handlespace(settings.identifier, seed=seed, wheel=wheel)
    handlespace.default_items = settings.profile.default_items
    handlespace.used_items = settings.max_increment
    handlespace.keep_alive_interval = round(settings.keep_alive_interval * MICROSECONDS)
    handlespace.life_unit = settings.profile.registration_life_unit
    handlespace.life_limit = round(settings.limits.max_registration_life * MICROSECONDS)
    handlespace.max_candidates = settings.limits.rule_candidates
    context = RegistrarContext(
        settings=settings,
        handlespace=handlespace,
        wheel=wheel,
        randomness=randomness,
        slices=slices,
        access=access,
        watching=Watching(handlespace),
    )
    handlespace.on_policy_failure = PolicyFailures(wheel, partial(context.counters.count, Count.POLICY_FAILURES)).failed
    return context
