"""A pool element that registers and stays registered (RFC 5352 3.1, 3.2, 3.4). element_table.py has its states."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import (
    Deregistration,
    DeregistrationResponse,
    ErrorCause,
    Policy,
    PoolElement,
    Registration,
    RegistrationResponse,
    Transport,
)
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Level
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.element_table import TABLE, ElementEvent, ElementReaction
from rserpool.protocol.client.events import ElementState, ElementStatus
from rserpool.protocol.client.homes import Homes
from rserpool.protocol.client.update_rate import UpdateRate
from rserpool.protocol.table import step
from rserpool.protocol.timers import Timer

MAX_REREGISTRATION = 600.0
"""Longest T4, in seconds (RFC 5352 7.1)."""
MARGIN = 20.0
"""Seconds by which T4 is shorter than the registration life (RFC 5352 7.1)."""
UNIT = 1000
"""Units of the Registration Life field in one second. A registrar that counts in milliseconds then keeps a registration
for its life. One that counts in seconds (RFC 5354 3.10) keeps it too long, but finds a dead element by keep-alives."""
UNLIMITED = -1
"""The Registration Life field that stands for an infinite life."""
LONGEST = (1 << 31) - 1
ADOPTION = 3 * MICROSECONDS
"""Microseconds within which an element registers again at a registrar that took it over, so that not all elements do so
at once."""
GRANT_GUARD = MICROSECONDS
"""Microseconds after a grant in which the element does not register again, even if the registrar ends the registration.
Otherwise a registrar that ends every registration would keep the element busy."""
EARLY = 0.05
"""The largest share by which T4 is shortened at random, so that elements that started together do not register again
together."""
SPREAD = 0.5
"""The largest share by which a pause is shortened at random."""


@dataclass(frozen=True, slots=True)
class RegisteredValues:
    """The values of a registration that the application may change. ``life`` in seconds."""

    policy: Policy
    user_transport: Transport
    life: float


@dataclass(frozen=True, slots=True, eq=False)
class SharedByElements:
    """The parts of a node that its elements share."""

    context: NodeContext
    homes: Homes
    update_rate: UpdateRate
    elements: "dict[tuple[bytes, int], Element]"
    """The elements of the node by pool handle and identifier."""


def reregistration_interval(life: float) -> float:
    """T4: seconds between two registrations with a life of ``life`` seconds (RFC 5352 7.1). For a short life it is half
    of the life."""
    return min(MAX_REREGISTRATION, life - MARGIN) if life > 2 * MARGIN else life / 2


def wire_life(life: float) -> int:
    """The number that is sent by default for a registration life in seconds."""
    return UNLIMITED if math.isinf(life) else min(round(life * UNIT), LONGEST)


class Element:
    """One pool element of a node, made by Node.add. Drain the node's actions after each call.

    ``identifier``: random if None, and drawn again if another element has it. ``life_on_wire``: the number to send for
    the life, 1000 times the life by default. ``reregister_every``: T4 in seconds, as in RFC 5352 7.1 by default. The
    life may be infinite.

    LocalProtocolError for values that cannot be sent, and for an identifier that another element of the pool has.
    """

    def __init__(
        self,
        shared: SharedByElements,
        number: int,
        handle: bytes,
        values: RegisteredValues,
        *,
        identifier: int | None,
        life_on_wire: int | None,
        reregister_every: float | None,
    ) -> None:
        self.number = number
        self.pool_handle = handle
        self.state = ElementState.IDLE
        self.registered = False
        """True if the home registrar has granted the registration, as far as known."""
        self.attempts = 0
        """Registrations that have failed in a row."""
        self.values = values
        self._context = shared.context
        self._homes = shared.homes
        self._update_rate = shared.update_rate
        self._siblings = shared.elements
        self._random_identifier = identifier is None
        self._life_on_wire = life_on_wire
        self._interval = reregister_every
        self.identifier = self._draw() if identifier is None else identifier
        self._check(values)
        if (handle, self.identifier) in self._siblings:
            raise LocalProtocolError(f"pool {handle!r} has an element 0x{self.identifier:08x} on this node already")
        self._timer: Timer[None] | None = None
        self._changed = False
        """True if values have changed since the registration was sent."""
        self._maybe_known = False
        """True if a registrar may know the element."""
        self._granted_at = 0
        self._sent_values: RegisteredValues | None = None
        self._granted_values: RegisteredValues | None = None
        self._shown: ElementStatus | None = None
        self._reactions = self._reaction_methods()

    def _reaction_methods(self) -> dict[ElementReaction, Callable[[int], str | None]]:
        return {
            ElementReaction.CONTINUE: self._continue,
            ElementReaction.START: self._start,
            ElementReaction.REGISTER: self._register,
            ElementReaction.RENEW: self._renew,
            ElementReaction.POSTPONE_CHANGE: self._postpone_change,
            ElementReaction.REQUEST_TURN: self._request_turn,
            ElementReaction.CONFIRM: self._confirm,
            ElementReaction.REFUSE: self._refuse,
            ElementReaction.REJECT_OUTDATED: self._reject_outdated,
            ElementReaction.PAUSE: self._pause,
            ElementReaction.DRAW_IDENTIFIER: self._draw_identifier,
            ElementReaction.RETRY_AFTER_ERROR: self._retry_after_error,
            ElementReaction.RETRY_AFTER_TIMEOUT: self._retry_after_timeout,
            ElementReaction.RETRY_AFTER_LOSS: self._retry_after_loss,
            ElementReaction.FORGET_REGISTRATION: self._forget_registration,
            ElementReaction.REGISTER_AGAIN: self._register_again,
            ElementReaction.REGISTER_SOON: self._register_soon,
            ElementReaction.DEREGISTER: self._deregister,
            ElementReaction.LEAVE_AFTER_ERROR: self._leave_after_error,
            ElementReaction.LEAVE_AFTER_TIMEOUT: self._leave_after_timeout,
            ElementReaction.STAY_REGISTERED: self._stay_registered,
            ElementReaction.FINISH: self._finish,
        }

    # Requests of the application

    def start(self, now: int) -> None:
        """Register, and stay registered."""
        self._homes.leave_tcp(now)
        self.feed(ElementEvent.START, now)

    def deregister(self, now: int) -> None:
        """Leave the pool. The state becomes IDLE when a registrar has confirmed it (RFC 5352 3.2)."""
        self.feed(ElementEvent.DEREGISTER if self._maybe_known else ElementEvent.WITHDRAW, now)

    def change(
        self,
        now: int,
        *,
        policy: Policy | None = None,
        user_transport: Transport | None = None,
        life: float | None = None,
    ) -> None:
        """Register other values; a refused element tries again. LocalProtocolError, without any change, for values that
        cannot be sent."""
        old = self.values
        values = RegisteredValues(
            old.policy if policy is None else policy,
            old.user_transport if user_transport is None else user_transport,
            old.life if life is None else life,
        )
        if values == old:
            return
        self._check(values)
        self.values = values
        self.feed(ElementEvent.CHANGED, now)

    @property
    def wanting(self) -> bool:
        """True if it needs a registrar."""
        return self.state not in (ElementState.IDLE, ElementState.REFUSED)

    @property
    def acknowledges(self) -> bool:
        """True if it answers keep-alives."""
        return self.state is not ElementState.IDLE

    @property
    def interval(self) -> float:
        """T4 in seconds."""
        return reregistration_interval(self.values.life) if self._interval is None else self._interval

    def drop(self) -> None:
        """Become IDLE at once, without a message."""
        self._stop_waiting()
        self._update_rate.withdraw(self._turn)
        self.state, self.registered = ElementState.IDLE, False

    # Messages of the home registrar

    def registration_answered(self, message: RegistrationResponse, now: int) -> None:
        """A REGISTRATION_RESPONSE for this element. An error cause in a grant is a warning."""
        causes = message.operation_error
        if self.state is not ElementState.REG:
            return
        if not message.reject:
            self.feed(ElementEvent.GRANTED, now, causes, "the registrar warns" if causes else "")
        else:
            self.feed(self._rejection(causes), now, causes)

    def _rejection(self, causes: tuple[ErrorCause, ...]) -> ElementEvent:
        code = causes[0].code if causes else Cause.UNSPECIFIED_ERROR
        if code == Cause.LACK_OF_RESOURCES:
            return ElementEvent.LACKS_RESOURCES
        if code == Cause.NON_UNIQUE_PE_IDENTIFIER and self._random_identifier and not self.registered:
            return ElementEvent.IDENTIFIER_TAKEN
        return ElementEvent.OUTDATED_REJECTED if self._changed else ElementEvent.REJECTED

    def deregistration_answered(self, message: DeregistrationResponse, now: int) -> None:
        """A DEREGISTRATION_RESPONSE for this element, solicited or not (RFC 5352 3.2)."""
        if not message.operation_error:
            self.feed(ElementEvent.UNREGISTERED, now)
        elif self.state is ElementState.DEREG:
            self.feed(ElementEvent.DEREGISTRATION_REFUSED, now, message.operation_error)

    # The machine

    def feed(self, event: ElementEvent, now: int, causes: tuple[ErrorCause, ...] = (), reason: str = "") -> None:
        """Handle an event and publish the change. ``causes`` and ``reason`` are for the application."""
        if step(TABLE, self.state, event).reaction is ElementReaction.IGNORE:
            return
        reason = self._step(event, now) or reason
        if self.state is ElementState.HUNT and self._timer is None:
            if self._context.home is None:
                self._homes.hunt(now)
            else:
                self._step(ElementEvent.READY_TO_REGISTER, now)
        self.show(reason, causes)

    def _step(self, event: ElementEvent, now: int) -> str | None:
        """Take one transition. Returns a reason for the application, or None."""
        reaction, self.state = step(TABLE, self.state, event)
        return self._reactions[reaction](now)

    def show(self, reason: str = "", causes: tuple[ErrorCause, ...] = ()) -> None:
        """Publish the status if it has changed, or if there is a reason to report."""
        renewing = self.registered and self.state in (ElementState.REG, ElementState.HUNT)
        shown = ElementStatus(
            element=self.number,
            pool_handle=self.pool_handle,
            identifier=self.identifier,
            state=ElementState.READY if renewing else self.state,
            current=self.registered and self._granted_values == self.values,
            home=self._context.home_record,
        )
        if shown != self._shown or reason:
            self._shown = shown
            self._context.publish(replace(shown, reason=reason, causes=causes, attempts=self.attempts))

    # Reactions. Each returns a reason for the application, or None; element_table.py describes them.

    def _continue(self, now: int) -> None:
        pass

    def _start(self, now: int) -> None:
        self.attempts = 0
        self._stop_waiting()

    def _register(self, now: int) -> None:
        home = self._context.home
        assert home is not None
        self._changed = False
        self._maybe_known = True
        self.attempts += 1
        self._arm(now, self._context.settings.registration_timeout)
        self._sent_values = self.values
        self._request(self._registration(self.values), now)

    def _renew(self, now: int) -> None:
        self.attempts = 0
        self._register(now)

    def _postpone_change(self, now: int) -> None:
        self._changed = True

    def _request_turn(self, now: int) -> None:
        if self._update_rate.take(self._turn, now):
            self._step(ElementEvent.TURN, now)

    def _confirm(self, now: int) -> None:
        self._context.requests.close(self)
        self.attempts = 0
        self.registered = True
        self._granted_at = now
        self._granted_values = self._sent_values
        self._arm_t4(now)
        if self._changed:
            self._request_turn(now)

    def _refuse(self, now: int) -> str:
        self._stop_waiting()
        self._maybe_known = self.registered
        text = f"element 0x{self.identifier:08x} of pool {self.pool_handle!r} is refused"
        self._context.note(Level.ERROR, text, text)
        return "refused"

    def _reject_outdated(self, now: int) -> str:
        self._changed = False
        return self._refuse(now)

    def _pause(self, now: int) -> str:
        self._stop_waiting()
        self._arm_pause(now)
        home = self._context.home
        in_use = any(one.registered for one in self._siblings.values())
        if home is not None and not in_use and self._homes.has_alternative(now):
            self._homes.abandon_registrar(home, "lacks resources", now)
        return "the registrar lacks resources"

    def _draw_identifier(self, now: int) -> str:
        self._stop_waiting()
        del self._siblings[self.pool_handle, self.identifier]
        self.identifier = self._draw()
        self._siblings[self.pool_handle, self.identifier] = self
        return self._pause_after_many(now, "the identifier is taken")

    def _retry_after_error(self, now: int) -> str:
        return self._retry("answered with an error", now)

    def _retry_after_timeout(self, now: int) -> str:
        return self._retry("did not answer", now)

    def _retry(self, why: str, now: int) -> str:
        self._stop_waiting()
        reason = self._pause_after_many(now, f"the registrar {why}")
        self._leave_registrar(why, now)
        return reason

    def _retry_after_loss(self, now: int) -> str:
        self.registered = False
        self._stop_waiting()
        return self._pause_after_many(now, "the registrar is lost")

    def _forget_registration(self, now: int) -> None:
        self.registered = False

    def _register_again(self, now: int) -> str:
        self.registered = False
        self._stop_waiting()
        if now < self._granted_at + GRANT_GUARD:
            self._arm_at(self._granted_at + GRANT_GUARD)
        return "the registration has expired"

    def _register_soon(self, now: int) -> None:
        self._arm_at(now + round(ADOPTION * self._context.randomness.random()))

    def _deregister(self, now: int) -> None:
        self._stop_waiting()
        if self._context.home is None:
            self.registered = False
            self._homes.hunt(now)
            return
        self._arm(now, self._context.settings.deregistration_timeout)
        self._request(Deregistration(pool_handle=self.pool_handle, pe_identifier=self.identifier), now)

    def _leave_after_error(self, now: int) -> None:
        self._stop_waiting()
        self._leave_registrar("answered with an error", now)

    def _leave_after_timeout(self, now: int) -> None:
        self._stop_waiting()
        self._leave_registrar("did not answer", now)

    def _stay_registered(self, now: int) -> str:
        self._stop_waiting()
        self._arm_t4(now)
        return "the registrar refuses to deregister it"

    def _finish(self, now: int) -> None:
        self._stop_waiting()
        self.registered = self._maybe_known = False
        self.attempts = 0

    # Parts of reactions

    def _request(self, message: Registration | Deregistration, now: int) -> None:
        """Send a request to the home registrar."""
        home = self._context.home
        assert home is not None
        self._context.requests.add(self, home.number, self._error)
        self._context.send(home, message)

    def _error(self, causes: tuple[ErrorCause, ...], now: int) -> None:
        self.feed(ElementEvent.ERROR, now, causes)

    def _leave_registrar(self, why: str, now: int) -> None:
        if self._context.home is not None:
            self._homes.abandon_registrar(self._context.home, why, now)

    def _pause_after_many(self, now: int, why: str) -> str:
        """Pause if more than MAX-REG-ATTEMPT attempts have failed. Returns the reason for the application."""
        if self.attempts <= self._context.settings.max_registration_attempts:
            return why
        self._arm_pause(now)
        return f"{why}; {self.attempts} attempts have failed"

    def _arm_pause(self, now: int) -> None:
        """Pause before the next attempt, twice as long after each failure up to hunt_max."""
        settings = self._context.settings
        beyond = max(0, self.attempts - settings.max_registration_attempts - 1)
        longest = min(settings.hunt_max, settings.server_hunt * 2.0 ** min(beyond, 20))
        self._arm(now, longest * (1 - SPREAD * self._context.randomness.random()))

    def _arm_t4(self, now: int) -> None:
        self._arm(now, self.interval * (1 - EARLY * self._context.randomness.random()))

    def _stop_waiting(self) -> None:
        """Cancel the timer and the open request."""
        self._cancel()
        self._context.requests.close(self)

    def _arm(self, now: int, seconds: float) -> None:
        self._arm_at(now + round(seconds * MICROSECONDS))

    def _arm_at(self, deadline: int) -> None:
        self._cancel()
        self._timer = Timer(self._context.wheel, deadline, self._expired)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, now: int) -> None:
        self._timer = None
        self.feed(ElementEvent.TIMEOUT, now)

    def _turn(self, now: int) -> None:
        self.feed(ElementEvent.TURN, now)

    def _draw(self) -> int:
        while True:
            drawn = int(self._context.randomness.random() * 0xFFFFFFFF) + 1
            if (self.pool_handle, drawn) not in self._siblings:
                return drawn

    def _registration(self, values: RegisteredValues) -> Registration:
        wire = wire_life(values.life) if self._life_on_wire is None else self._life_on_wire
        element = PoolElement(
            identifier=self.identifier,
            home_identifier=self._context.home_identifier,
            registration_life=wire,
            user_transport=values.user_transport,
            policy=values.policy,
        )
        return Registration(pool_handle=self.pool_handle, pool_element=element)

    def _check(self, values: RegisteredValues) -> None:
        """Raise LocalProtocolError for values that cannot be sent, or that every registrar would refuse."""
        if not values.life > 0:
            raise LocalProtocolError(f"the life of a registration must be more than 0 seconds, not {values.life:g}")
        if not 0 < self.identifier <= 0xFFFFFFFF:
            raise LocalProtocolError(f"a pool element identifier must be 1 to 0xffffffff, not {self.identifier:#x}")
        if not self.pool_handle:
            raise LocalProtocolError("a pool handle must have at least one octet")
        self._registration(values).encode()
