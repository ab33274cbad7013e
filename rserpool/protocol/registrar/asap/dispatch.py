"""The registrar's side of ASAP (RFC 5352): what each message, each timer and each lost association leads to.

Rules that no table shows: an answer goes out on the association that asked; peers are told of a change before the
registrant is; an input that is wrong changes nothing, and is counted and noted.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer, Verdict
from rserpool._fast.handlespace.views import PoolElementView
from rserpool._fast.lane.keep_alive import probe
from rserpool._fast.lane.lane import Lane, LaneContext
from rserpool._fast.lane.registration import Registrant
from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    AsapError,
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    ErrorCause,
    HandleResolution,
    HandleResolutionResponse,
    Message,
    PoolElement,
    Registration,
    RegistrationResponse,
    decode,
)
from rserpool.model.addresses import Address
from rserpool.model.numbers import MAX_MESSAGE_LENGTH, MICROSECONDS
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.policy_failures import Complaints
from rserpool.protocol.randomness import Randomness
from rserpool.protocol.registrar.actions import Action, Announce, Update
from rserpool.protocol.registrar.asap.acceptance import Refusal, acceptable, admission_limits, life_microseconds
from rserpool.protocol.registrar.asap.announcing import Announcing
from rserpool.protocol.registrar.asap.answers import because, deregistered, refused
from rserpool.protocol.registrar.asap.coalescing import Coalescing
from rserpool.protocol.registrar.asap.subscriptions import Subscriptions, unknown_pool
from rserpool.protocol.registrar.association import Association, association
from rserpool.protocol.registrar.ownership import Custody
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.settings.registrar import Settings

PROBES_AT_ONCE = 3
RESOLUTION = HandleResolution.TYPE
MAX_INFORMATION = 4096
"""Octets of the offending parameter that go back in a refusal: what is longer is no honest mistake."""
REPORTS_KEPT = 512
"""Reports of one association whose rates are remembered before those that no longer count are dropped."""
NEVER_ANSWERED = frozenset({0x0E})


class AsapRegistrar:
    """One registrar's ASAP. Times are integer microseconds of a clock that never goes back; every event returns the
    actions to carry out, in order."""

    def __init__(
        self,
        settings: Settings,
        handlespace: Handlespace,
        wheel: Wheel,
        randomness: Randomness,
        slices: Slices = DEFAULT_SLICES,
    ) -> None:
        self.settings = settings
        self.handlespace = handlespace
        self._counters: Counter[str] = Counter()
        self.associations: dict[int, Association] = {}
        self._hosts: Counter[Address | None] = Counter()
        self.announcing = Announcing(settings)
        self._announcement = b""
        self._wheel = wheel
        self._randomness = randomness
        self._now = 0
        self._probes: dict[tuple[bytes, int], Bucket] = {}
        self.custody = Custody(self, wheel, slices)
        self.lanes = LaneContext(handlespace, admission_limits(settings), self.custody.unconfirmed, self.custody.claims)
        self._lane_totals = dict.fromkeys(FAST_COUNTERS, 0)
        self.mirrored: Callable[[], bool] = lambda: True
        """Whether anybody wants to be told of renewals."""
        self._updates = Coalescing(wheel, settings.peer_update_window * MICROSECONDS, self._update_of)
        self.subscriptions = Subscriptions(handlespace, settings.limits.subscriptions, self._gather)
        self.timeout = round(settings.keep_alive_timeout * MICROSECONDS)
        handlespace.default_items = settings.profile.default_items
        handlespace.used_items = settings.max_increment
        handlespace.keep_alive_interval = round(settings.keep_alive_interval * MICROSECONDS)
        handlespace.life_unit = settings.profile.registration_life_unit
        handlespace.life_limit = round(settings.limits.max_registration_life * MICROSECONDS)
        handlespace.max_candidates = settings.limits.rule_candidates
        handlespace.on_policy_failure = Complaints(wheel, self.counters, lambda: self._now).failed

    @property
    def counters(self) -> Counter[str]:
        """What has happened so far."""
        for name, attribute in FAST_COUNTERS.items():
            total = getattr(self.lanes.counters, attribute)
            if total != self._lane_totals[name]:
                self._counters[name] += total - self._lane_totals[name]
                self._lane_totals[name] = total
        return self._counters

    # Associations

    def associated(self, number: int, peer: Peer, now: int) -> list[Action]:
        """An association or connection came up; ``number`` is not 0 and never used twice."""
        limits = self.settings.limits
        host = peer.addresses[0] if peer.addresses else None
        if len(self.associations) >= limits.associations or self._hosts[host] >= limits.associations_per_host:
            self.counters["associations refused"] += 1
            return [Abort(number), Note(Level.WARNING, "associations", f"too many associations: {peer} was aborted")]
        self._now = now
        self._hosts[host] += 1
        known = self.associations[number] = association(number, peer, self.settings, now, partial(self._lane, number))
        self.counters["associations"] += 1
        return self.custody.arrived(known, now)

    def _lane(
        self, number: int, registrant: Registrant, registrations: Bucket, resolutions: Bucket, subscriptions: set[bytes]
    ) -> Lane:
        return Lane(self.lanes, number, registrant, registrations, resolutions, subscriptions)

    def lost(self, number: int, now: int) -> list[Action]:
        """An association ended, however: its pool elements are gone with it (RFC 5352 3.5)."""
        self._now = now
        actions: list[Action] = []
        for handle, identifier in self.handlespace.connected(number):
            actions += self._remove(handle, identifier)
            self.counters["elements lost with their association"] += 1
        gone = self.associations.pop(number, None)
        if gone is not None:
            self.subscriptions.forget(gone)
            self.custody.departed(gone)
            host = gone.peer.addresses[0] if gone.peer.addresses else None
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]
        return actions

    # Messages

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message with the ASAP payload protocol identifier arrived."""
        self._now = now
        peer = self.associations.get(number)
        if peer is None or not data:
            return []
        answer = peer.lane.answer(data, now)
        if answer is not None:
            actions = self.renewed(now)
            if answer:
                actions.append(Send(number, answer))
            return actions
        if not self._within_rate(peer, data[0]):
            return self._over_rate(peer, data)
        try:
            message = decode(data, "asap")
        except RemoteProtocolError as error:
            return self._malformed(peer, data, error)
        if self._handle_too_long(message):
            too_long = RemoteProtocolError("the pool handle is too long", cause=Cause.INVALID_VALUES)
            return self._malformed(peer, data, too_long)
        handler = HANDLERS.get(type(message))
        if handler is None:
            self.counters["messages not for a registrar"] += 1
            return [Note(Level.INFO, f"{peer.peer} role", f"{peer.peer} sent {type(message).__name__} to a registrar")]
        actions = handler(self, peer, message)
        if message.unrecognized:
            actions += self._report(
                peer,
                tuple(ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=tlv) for tlv in message.unrecognized),
            )
        return actions

    def _handle_too_long(self, message: Message) -> bool:
        return len(getattr(message, "pool_handle", b"")) > self.settings.limits.pool_handle_octets

    def _within_rate(self, peer: Association, kind: int) -> bool:
        if kind == RESOLUTION:
            return peer.resolutions.take(self._now)
        if kind in (Registration.TYPE, Deregistration.TYPE):
            return peer.registrations.take(self._now)
        if kind == EndpointUnreachable.TYPE:
            return peer.reports.take(self._now)
        return True

    def _over_rate(self, peer: Association, data: bytes) -> list[Action]:
        """A request beyond its rate: Lack of Resources, and nothing else happens. Reports are ignored."""
        self.counters["requests over the rate"] += 1
        note = Note(Level.WARNING, f"{peer.peer} rate", f"{peer.peer} exceeds the rate of requests")
        excess = self.settings.limits.registration_excess * MICROSECONDS
        denied_since = peer.registrations.denied_since
        if denied_since is not None and self._now - denied_since > excess:
            return [Abort(peer.number), note]
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return [note]
        if self._handle_too_long(message):
            return [note]
        cause = (ErrorCause(code=Cause.LACK_OF_RESOURCES),)
        match message:
            case Registration():
                return [refused(peer, message, cause), note]
            case Deregistration():
                return [deregistered(peer, message, cause), note]
            case HandleResolution():
                answer = HandleResolutionResponse(pool_handle=message.pool_handle, operation_error=cause)
                return [Send(peer.number, answer.encode()), note]
        return [note]

    def renewed(self, now: int, most: int | None = None) -> list[Action]:
        """Tell of the elements that the fast lane has renewed, before they are answered; of ``most`` at most."""
        self._now = now
        actions: list[Action] = []
        if not self.handlespace.updated:
            return actions
        mirrored = self.mirrored()
        if mirrored or self.subscriptions.watchers:
            for name in self.handlespace.updated[:most]:
                if mirrored and not self._updates.waits(name, now):
                    actions += self._update_of(name)
                self.subscriptions.changed(name[0])
        del self.handlespace.updated[:most]
        return actions

    def _update_of(self, name: tuple[bytes, int]) -> list[Action]:
        """What peers are to be told of an element, if it is ours."""
        view = self.handlespace.find(*name)
        if view is None or view.home_identifier != self.settings.identifier:
            return []
        return [Update(True, name[0], view.parameter)]

    def _malformed(self, peer: Association, data: bytes, error: RemoteProtocolError) -> list[Action]:
        self.counters["malformed messages"] += 1
        note = Note(Level.WARNING, f"{peer.peer} malformed", f"{peer.peer} sent a message that is wrong: {error}")
        if not error.report or data[0] in NEVER_ANSWERED:
            return [note]
        return [*self._report(peer, (because(error.cause, error.information),)), note]

    def _report(self, peer: Association, causes: tuple[ErrorCause, ...]) -> list[Action]:
        """An ASAP_ERROR, unless this peer has had as many as it may; cut to what one message can carry."""
        if not peer.errors.take(self._now):
            self.counters["errors not sent"] += 1
            return []
        if sum(len(cause.information) + 8 for cause in causes) + 8 > MAX_MESSAGE_LENGTH:
            causes = tuple(ErrorCause(code=cause.code) for cause in causes)
        self.counters["errors sent"] += 1
        return [Send(peer.number, AsapError(operation_error=causes).encode())]

    # Registration (RFC 5352 3.1)

    def _register(self, peer: Association, message: Registration) -> list[Action]:
        try:
            element = acceptable(message, peer, self.settings)
            old = self.handlespace.find(message.pool_handle, element.identifier)
            self._check_room(peer, message.pool_handle, old)
            self._check_identity(peer, old)
            previous = old.connection if old is not None else 0
            renewal = old is not None and old.home_identifier == self.settings.identifier
            self._store(peer, message.pool_handle, element)
        except Refusal as refusal:
            return self._refuse(peer, message, refusal)
        self.custody.settled(message.pool_handle, element.identifier)
        if previous != peer.number:
            peer.registrant.elements += 1
            self._one_element_less(previous)
        self.counters["registrations" if old is None else "re-registrations"] += 1
        stored = self.handlespace.find(message.pool_handle, element.identifier)
        assert stored is not None
        self._start_timers(stored, element)
        self.subscriptions.changed(message.pool_handle)
        answer = RegistrationResponse(pool_handle=message.pool_handle, pe_identifier=element.identifier)
        name = message.pool_handle, element.identifier
        if not renewal:
            self._updates.forget(name)
        told = [] if self._updates.waits(name, self._now) else self._update_of(name)
        return [*told, Send(peer.number, answer.encode())]

    def _check_room(self, peer: Association, handle: bytes, old: PoolElementView | None) -> None:
        """Refuse what would exceed a bound."""
        limits = self.settings.limits
        if (
            old is None or old.connection != peer.number
        ) and peer.registrant.elements >= limits.elements_per_association:
            raise Refusal("too many pool elements over one association", Cause.LACK_OF_RESOURCES)
        if old is not None:
            return
        pool = self.handlespace.pool(handle)
        if pool is None and self.handlespace.pool_count >= limits.pools:
            raise Refusal("too many pools", Cause.LACK_OF_RESOURCES)
        if pool is not None and pool.size >= limits.elements_per_pool:
            raise Refusal("too many pool elements in the pool", Cause.LACK_OF_RESOURCES)

    def _check_identity(self, peer: Association, old: PoolElementView | None) -> None:
        """The same identifier is the same element if the association or its host is the same, or if nobody else of
        ours holds it; otherwise another element has taken it (RFC 5354 3.12.5)."""
        if old is None or old.home_identifier != self.settings.identifier or old.connection == peer.number:
            return
        holder = self.associations.get(old.connection)
        if holder is not None and not holder.hosts & peer.hosts:
            raise Refusal("the pool element identifier is taken", Cause.NON_UNIQUE_PE_IDENTIFIER)

    def _store(self, peer: Association, handle: bytes, element: PoolElement) -> None:
        verdict = self.handlespace.register(
            handle, element.encode(), home=self.settings.identifier, connection=peer.number
        )
        if verdict in (Verdict.ADDED, Verdict.UPDATED):
            return
        pool = self.handlespace.pool(handle)
        assert pool is not None
        if verdict == Verdict.INCONSISTENT_POLICY:
            raise Refusal("another policy than the pool's", Cause.INCONSISTENT_POOLING_POLICY, pool.policy_parameter)
        if verdict == Verdict.INCONSISTENT_TRANSPORT:
            reason = "another transport type than the pool's"
            raise Refusal(reason, Cause.INCONSISTENT_TRANSPORT_TYPE, pool.transport_parameter)
        raise Refusal("another transport use than the pool's", Cause.INCONSISTENT_DATA_CONTROL_CONFIGURATION)

    def _start_timers(self, stored: PoolElementView, element: PoolElement) -> None:
        handle, identifier = stored.pool_handle, stored.identifier
        stored.probed = False
        stored.bad_reports = 0
        self.handlespace.arm(handle, identifier, Timer.KEEP_ALIVE, self.handlespace.jitter(self._now))
        self.start_life(handle, identifier, element.registration_life, self._now)

    def _refuse(self, peer: Association, message: Registration, refusal: Refusal) -> list[Action]:
        self.counters["registrations refused"] += 1
        information = refusal.information if len(refusal.information) <= MAX_INFORMATION else b""
        cause = because(refusal.cause, information)
        element = message.pool_element.identifier
        text = f"{peer.peer}: element 0x{element:08x} of pool {message.pool_handle!r} is refused: {refusal}"
        return [refused(peer, message, (cause,)), Note(Level.WARNING, f"{peer.peer} refused", text)]

    # Deregistration (RFC 5352 3.2)

    def _deregister(self, peer: Association, message: Deregistration) -> list[Action]:
        view = self.handlespace.find(message.pool_handle, message.pe_identifier)
        if not peer.peer.sctp or (view is not None and not self._may_deregister(peer, view)):
            self.counters["deregistrations refused"] += 1
            text = f"{peer.peer}: element 0x{message.pe_identifier:08x} of {message.pool_handle!r} is another's"
            cause = ErrorCause(code=Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS)
            return [deregistered(peer, message, (cause,)), Note(Level.WARNING, f"{peer.peer} refused", text)]
        actions = self._remove(message.pool_handle, message.pe_identifier, leaves=True)
        self.counters["deregistrations"] += 1
        return [*actions, deregistered(peer, message)]

    def _may_deregister(self, peer: Association, view: PoolElementView) -> bool:
        """Nobody deregisters by proxy: only the association that registered may, while it lasts (RFC 5352 2.2.2)."""
        return view.connection == peer.number

    # Handle resolution (RFC 5352 3.3)

    def _resolve(self, peer: Association, message: HandleResolution) -> list[Action]:
        handle = message.pool_handle
        self.counters["handle resolutions"] += 1
        if not message.subscribe:
            self.subscriptions.discard(handle, peer)
        items = message.items or self.settings.profile.default_items
        accepted = message.subscribe and self.handlespace.pool(handle) is not None
        accepted = accepted and self.subscriptions.add(handle, peer)
        answer = self.handlespace.resolution(handle, items, accept_subscription=accepted)
        if answer is None:
            self.counters["handle resolutions of unknown pools"] += 1
            answer = unknown_pool(handle)
        return [Send(peer.number, answer)]

    def _gather(self, handle: bytes) -> None:
        self._wheel.insert(
            self._now + round(self.settings.update_delay * MICROSECONDS), partial(self._push_due, handle)
        )

    def _push_due(self, handle: bytes, now: int) -> list[Action]:
        self._now = now
        return self.subscriptions.push(handle, self.associations)

    # Liveness (RFC 5352 3.4, 3.5)

    def _acknowledged(self, peer: Association, message: EndpointKeepAliveAck) -> list[Action]:
        view = self.handlespace.find(message.pool_handle, message.pe_identifier)
        if view is None or view.connection != peer.number:
            self.counters["keep-alive acknowledgements of nobody"] += 1
            return []
        view.probed = False
        self.counters["keep-alive acknowledgements"] += 1
        deadline = self.handlespace.jitter(self._now)
        self.handlespace.arm(message.pool_handle, message.pe_identifier, Timer.KEEP_ALIVE, deadline)
        if self.custody.settled(message.pool_handle, message.pe_identifier):
            # How long ago its former home granted the registration is not known here.
            self.start_life(message.pool_handle, message.pe_identifier, view.registration_life, self._now)
            return [Update(True, message.pool_handle, view.parameter)]
        return []

    def _unreachable(self, peer: Association, message: EndpointUnreachable) -> list[Action]:
        """A report: probe the element at once; remove it when it has had more reports than it may."""
        handle, identifier = message.pool_handle, message.pe_identifier
        view = self.handlespace.find(handle, identifier)
        if view is None or view.home_identifier != self.settings.identifier:
            self.counters["reports of unknown elements"] += 1
            return []
        self.counters["reports"] += 1
        if self._counts(peer, handle, identifier):
            view.bad_reports += 1
        if view.bad_reports > self.settings.profile.bad_reports:
            self.counters["elements removed by reports"] += 1
            text = f"element 0x{identifier:08x} of pool {handle!r} is removed: too often reported unreachable"
            return [*self._cast_out(view), Note(Level.INFO, "reports", text)]
        return self._probe_soon(handle, identifier)

    def _probe_soon(self, handle: bytes, identifier: int) -> list[Action]:
        """A keep-alive now, unless the element has had as many as it may."""
        bucket = self._probes.setdefault(
            (handle, identifier), Bucket(1 / self.settings.limits.probe_interval, PROBES_AT_ONCE, self._now)
        )
        return self._probe(handle, identifier, again=True) if bucket.take(self._now) else []

    def _counts(self, peer: Association, handle: bytes, identifier: int) -> bool:
        """Whether one more report of this peer about this element counts."""
        if len(peer.reported) > REPORTS_KEPT:
            peer.reported = {key: bucket for key, bucket in peer.reported.items() if not bucket.full(self._now)}
        enough = self.settings.profile.bad_reports + 1
        bucket = peer.reported.setdefault(
            (handle, identifier), Bucket(1 / self.settings.limits.report_interval, enough, self._now)
        )
        return bucket.take(self._now)

    def _probe(self, handle: bytes, identifier: int, again: bool = False) -> list[Action]:
        """A keep-alive with H=0 for an element of ours; its acknowledgement is due within the time-out. Nothing if one
        is due already; with ``again`` another keep-alive, and no more time."""
        message = probe(self.handlespace, handle, identifier, self._now + self.timeout, again)
        if message is None:
            return []
        self._counters["keep-alives"] += 1
        return [Send(*message)]

    def _remove(self, handle: bytes, identifier: int, *, leaves: bool = False) -> list[Action]:
        """Take an element of ours out and tell the peers; nothing happens if it is not there. One that a peer has
        claimed meanwhile is the peer's, unless it ``leaves`` by its own will."""
        view = self.handlespace.find(handle, identifier)
        if view is None:
            return []
        heir = self.custody.heir(handle, identifier)
        previous = view.connection
        if heir is not None and not leaves:
            home, parameter = heir
            life = view.registration_life
            if self.handlespace.register(handle, parameter, home=home) in (Verdict.ADDED, Verdict.UPDATED):
                self.moved_away(handle, identifier, previous)
                self.start_life(handle, identifier, life, self._now)
                self.subscriptions.changed(handle)
                return []
        update = Update(False, handle, view.parameter)
        self._updates.forget((handle, identifier))
        self._one_element_less(previous)
        self._probes.pop((handle, identifier), None)
        self.handlespace.remove(handle, identifier)
        self.subscriptions.changed(handle)
        return [update]

    def _one_element_less(self, number: int) -> None:
        holder = self.associations.get(number)
        if holder is not None:
            holder.registrant.elements -= 1

    # Elements that come from other registrars, or go there

    def changed(self, handle: bytes, now: int) -> None:
        """A pool has changed otherwise: its subscribers are told."""
        self._now = now
        self.subscriptions.changed(handle)

    def changed_among(self, names: list[tuple[bytes, int]], now: int) -> None:
        """The same of all these elements' pools."""
        self._now = now
        self.subscriptions.changed_among(names)

    def moved_away(self, handle: bytes, identifier: int, previous: int) -> None:
        """An element has another home: its former association, if it had one here, is no business of its any more."""
        self._one_element_less(previous)
        self._probes.pop((handle, identifier), None)
        self.custody.settled(handle, identifier)
        self._updates.forget((handle, identifier))
        self.handlespace.disarm(handle, identifier, Timer.KEEP_ALIVE)

    def claimed(self, view: PoolElementView, claimant: int, parameter: bytes, now: int) -> list[Action]:
        """A peer says that an element which is associated here is its: ask the element."""
        self._now = now
        self.custody.claim(view, claimant, parameter)
        return self._probe_soon(view.pool_handle, view.identifier)

    def unreachable(self, addresses: tuple[Address, ...], port: int, now: int) -> list[Action]:
        """An association to elements that were taken over could not be opened: they are gone."""
        self._now = now
        actions: list[Action] = []
        for handle, identifier in self.custody.unreachable(addresses, port):
            self.counters["elements unreachable after a takeover"] += 1
            actions += self._remove(handle, identifier)
        return actions

    def start_life(self, handle: bytes, identifier: int, life: int, now: int) -> None:
        """An element's registration lasts so many units from now on."""
        lasting = life_microseconds(life, self.settings.profile, self.settings.limits)
        if lasting is None:
            self.handlespace.disarm(handle, identifier, Timer.LIFE)
        else:
            self.handlespace.arm(handle, identifier, Timer.LIFE, now + lasting)

    # Time

    def start(
        self, now: int, sctp: tuple[Address, ...], sctp_port: int, tcp: tuple[Address, ...], tcp_port: int
    ) -> list[Action]:
        """Begin to announce the registrar at these addresses (RFC 5352 3.6)."""
        self._now = now
        self._announcement = self.announcing.message(sctp, sctp_port, tcp, tcp_port)
        return self._announce()

    def due(self, which: Timer, handle: bytes, identifier: int, now: int) -> list[Action]:
        """One of an element's two timers has expired."""
        self._now = now
        if which == Timer.KEEP_ALIVE:
            return self._keep_alive_due(handle, identifier)
        return self._life_over(handle, identifier)

    def _keep_alive_due(self, handle: bytes, identifier: int) -> list[Action]:
        asked = self._probe(handle, identifier)
        if asked:
            return asked
        view = self.handlespace.find(handle, identifier)
        if view is None or view.home_identifier != self.settings.identifier:
            return []
        number = view.connection
        self.counters["elements silent"] += 1
        text = f"element 0x{identifier:08x} of pool {handle!r} is removed: no answer to a keep-alive"
        actions = [*self._cast_out(view), Note(Level.INFO, "keep-alives", text)]
        holder = self.associations.get(number)
        if holder is not None and holder.registrant.elements == 0:
            actions.append(Abort(number))
        return actions

    def _cast_out(self, view: PoolElementView) -> list[Action]:
        """Take an element of ours out that is held for dead. It is told: should it live, it has to register again."""
        handle, identifier, number = view.pool_handle, view.identifier, view.connection
        actions = self._remove(handle, identifier)
        if self.handlespace.find(handle, identifier) is None:
            actions += self._tell_it_is_out(handle, identifier, number)
        return actions

    def _tell_it_is_out(self, handle: bytes, identifier: int, number: int) -> list[Action]:
        notice = DeregistrationResponse(pool_handle=handle, pe_identifier=identifier).encode()
        return [Send(number, notice)] if number in self.associations else []

    def _life_over(self, handle: bytes, identifier: int) -> list[Action]:
        """The registration was not renewed: tell the element, then the peers (RFC 5352 3.2)."""
        view = self.handlespace.find(handle, identifier)
        if view is None:
            return []
        self.counters["registrations expired"] += 1
        if view.home_identifier != self.settings.identifier:
            self.handlespace.remove(handle, identifier)
            self.subscriptions.changed(handle)
            return []
        tell = self._tell_it_is_out(handle, identifier, view.connection)
        return [*tell, *self._remove(handle, identifier)]

    def _announce(self) -> list[Action]:
        period = self.announcing.period(self._now, self._randomness.random())
        self._wheel.insert(self._now + period, self._announce_due)
        return [Announce(self._announcement)]

    def _announce_due(self, now: int) -> list[Action]:
        self._now = now
        return self._announce()


def ignored(registrar: AsapRegistrar, peer: Association, message: Message) -> list[Action]:
    """An ASAP_ERROR: counted, and never answered (RFC 5352 2.2.14)."""
    registrar.counters["errors received"] += 1
    return [Note(Level.INFO, f"{peer.peer} error", f"{peer.peer} reports {message}")]


FAST_COUNTERS = {
    "handle resolutions": "resolutions",
    "keep-alive acknowledgements": "acknowledgements",
    "re-registrations": "reregistrations",
    "registrations": "registrations",
}
"""The counters that lanes count too, with their attributes of LaneCounters."""

HANDLERS: dict[type[Message], Callable[..., list[Action]]] = {
    Registration: AsapRegistrar._register,
    Deregistration: AsapRegistrar._deregister,
    HandleResolution: AsapRegistrar._resolve,
    EndpointKeepAliveAck: AsapRegistrar._acknowledged,
    EndpointUnreachable: AsapRegistrar._unreachable,
    AsapError: ignored,
}
