"""How long things may take, as formulas over the registrars' settings. All are in seconds.

They hold for a scope in which nothing is disturbed any more; what the network and the elements need themselves is
counted apart (TRANSPORT, and ``element``).
"""

from math import ceil

from rserpool.protocol.client.hunt import AT_ONCE
from rserpool.settings.client import ClientSettings
from rserpool.settings.registrar import Settings
from rserpool.settings.session import SessionSettings
from tests.sim.element import HUNT_PAUSE, RESPONSE_PATIENCE
from tests.sim.network import CONNECT_PATIENCE, HEARTBEAT, LOSS_PATIENCE

ROUNDS = 3
REFUSALS = 3
REFUSAL_PAUSE = 5.0
TRANSPORT = max(LOSS_PATIENCE[1], HEARTBEAT) + CONNECT_PATIENCE + 1.0
"""Until both ends of an association agree that it is lost, and it is there again."""


def dead_element(settings: Settings) -> float:
    """Until an element that no longer answers is out of its home's handlespace: the gap to the next keep-alive is at
    most half as long again as the interval, and its acknowledgement is waited for."""
    return 1.5 * settings.keep_alive_interval + settings.keep_alive_timeout


def takeover(settings: Settings) -> float:
    """From the last message of a registrar that died to a new home for all its elements: silence, the request for a
    sign of life, the random pause, and up to three rounds of arbitration, the second and third up to twice and three
    times as long."""
    rounds = sum(settings.takeover_expiry * count for count in range(1, ROUNDS + 1))
    return settings.last_heard + 2 * settings.max_time_no_response + rounds


def quiet_takeover(settings: Settings) -> float:
    """The same where all other registrars live and answer: one round is enough."""
    return settings.last_heard + 2 * settings.max_time_no_response + settings.takeover_expiry


def start(settings: Settings) -> float:
    """Until a registrar that starts among others serves the whole handlespace: a mentor is waited for, may refuse for
    as long as it starts itself, or fall silent, and then another is asked."""
    mentor = REFUSALS * (REFUSAL_PAUSE + settings.max_time_no_response)
    return settings.mentor_discovery_timeout + 2 * mentor


def repair(settings: Settings) -> float:
    """Until an element is known again that two registrars claimed at once, one for a moment: their updates come in
    any order, and what one takes back may be what the other has added. The next presences show that sums differ."""
    return 2 * 1.125 * settings.heartbeat


def agreement(settings: Settings) -> float:
    """Until two registrars that have an association hold the same of each other's elements: two presences, jitter
    included, a download, and the longest pause after downloads that came to nothing."""
    cycles = 2 * 1.125 * settings.heartbeat
    return cycles + settings.max_time_no_response + settings.limits.resynchronisation_pause


def element(interval: float) -> float:
    """Until an rsplib element that lost its home is registered again: it waits for its ``interval`` first, and the
    first registrar asked may be the wrong one."""
    hunt = CONNECT_PATIENCE + HUNT_PAUSE[1] + 2 * RESPONSE_PATIENCE
    return interval + 2 * hunt


def node(client: ClientSettings, registrars: int) -> float:
    """Until a node of ours that lost its home has another one, and its elements are registered there: the round that
    it is in, one for every few registrars, and the same again where the first one found is not to stay; an element that
    has tried in vain pauses before it tries again. Registrars that are only heard of are heard of again."""
    announced = 2.0 * (registrars + 1)
    hunt = client.hunt_max * (1 + ceil(registrars / AT_ONCE))
    return announced + 2 * (hunt + client.registration_timeout) + client.hunt_max


def request(client: ClientSettings) -> float:
    """Until a handle resolution is answered, one way or the other, or a watched pool is looked at again."""
    return client.request_timeout * (1 + client.max_request_retransmits)


def session(client: ClientSettings, settings: SessionSettings) -> float:
    """Until a session of a user that has a home is served again: what fails is noticed, doubted and left, twice; an
    answer in the cache is too old; then there is a pause."""
    failure = settings.connect_timeout + (settings.silence or 0.0) + 2 * settings.confirm_timeout + settings.doubt
    return 2 * (failure + request(client)) + client.stale_cache + 1.5 * settings.backoff_max


def settled(settings: Settings, interval: float, client: ClientSettings, registrars: int) -> float:
    """Until everything is right again, whatever has happened: the associations are; then registrars have started and
    taken over who died, while dead elements are found out; then the elements that were left without a home have one;
    then the registrars agree, while users find elements again."""
    scope = max(start(settings), takeover(settings) + dead_element(settings))
    homes = max(element(interval) if interval else 0.0, node(client, registrars))
    return TRANSPORT + scope + homes + max(agreement(settings), session(client, SessionSettings(silence=4.0)))
