"""Bounds on how long recovery may take, computed from the registrars' settings. All are in seconds.

They hold while nothing is disturbed. The time that the network and the elements need is added separately (TRANSPORT,
``element``).
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
"""Time until both ends of an association agree that it is lost, and it is established again."""


def dead_element(settings: Settings) -> float:
    """Time until a silent element is removed at its home: the interval to the next keep-alive, with up to 50 % jitter,
    plus the time-out of its acknowledgement."""
    return 1.5 * settings.keep_alive_interval + settings.keep_alive_timeout


def takeover(settings: Settings) -> float:
    """Time from a dead registrar's last message until all its elements have a new home: silence, the presence request,
    the random pause, and up to three rounds of arbitration, of which the second and third take up to two and three
    times as long."""
    rounds = sum(settings.takeover_expiry * count for count in range(1, ROUNDS + 1))
    return settings.last_heard + 2 * settings.max_time_no_response + rounds


def quiet_takeover(settings: Settings) -> float:
    """Time for a takeover if all other registrars are alive and answer: one round is enough."""
    return settings.last_heard + 2 * settings.max_time_no_response + settings.takeover_expiry


def start(settings: Settings) -> float:
    """Time until a starting registrar serves the whole handlespace. It waits for a mentor; the mentor may refuse while
    it starts itself, or fall silent, and then another mentor is asked."""
    mentor = REFUSALS * (REFUSAL_PAUSE + settings.max_time_no_response)
    return settings.mentor_discovery_timeout + 2 * mentor


def repair(settings: Settings) -> float:
    """Time until an element that two registrars claimed at once is known again everywhere. Their updates arrive in any
    order, so a removal may undo an addition; the next presences then show different checksums."""
    return 2 * 1.125 * settings.heartbeat


def agreement(settings: Settings) -> float:
    """Time until two associated registrars hold the same copy of each other's elements: two presences with jitter, a
    download, and the longest pause after failed downloads."""
    cycles = 2 * 1.125 * settings.heartbeat
    return cycles + settings.max_time_no_response + settings.limits.resynchronisation_pause


def element(interval: float) -> float:
    """Time until an rsplib element that lost its home is registered again: it first waits for its ``interval``, and the
    first registrar that it asks may be the wrong one."""
    hunt = CONNECT_PATIENCE + HUNT_PAUSE[1] + 2 * RESPONSE_PATIENCE
    return interval + 2 * hunt


def node(client: ClientSettings, registrars: int) -> float:
    """Time until a node of ours that lost its home has a new one, with its elements registered: the current round of
    the hunt, one round per few registrars, and the same again if the first registrar found does not become its home. An
    element whose attempts failed pauses first; announced registrars must be announced again."""
    announced = 2.0 * (registrars + 1)
    hunt = client.hunt_max * (1 + ceil(registrars / AT_ONCE))
    return announced + 2 * (hunt + client.registration_timeout) + client.hunt_max


def request(client: ClientSettings) -> float:
    """Time until a handle resolution is answered or given up, or a watched pool is resolved again."""
    return client.request_timeout * (1 + client.max_request_retransmits)


def session(client: ClientSettings, settings: SessionSettings) -> float:
    """Time until a session is served again if its user has a home: two failed elements are noticed, doubted and left, a
    cached answer expires, and a pause follows."""
    failure = settings.connect_timeout + (settings.silence or 0.0) + 2 * settings.confirm_timeout + settings.doubt
    return 2 * (failure + request(client)) + client.stale_cache + 1.5 * settings.backoff_max


def settled(settings: Settings, interval: float, client: ClientSettings, registrars: int) -> float:
    """Time until everything is right again after any disturbance: associations recover; registrars start and take over
    dead peers, and dead elements are removed; elements without a home find one; then the registrars agree, and users
    find elements."""
    scope = max(start(settings), takeover(settings) + dead_element(settings))
    homes = max(element(interval) if interval else 0.0, node(client, registrars))
    return TRANSPORT + scope + homes + max(agreement(settings), session(client, SessionSettings(silence=4.0)))
