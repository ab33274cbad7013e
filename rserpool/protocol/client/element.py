"""A pool element that wants to be registered, for ever (RFC 5352 3.1, 3.2, 3.4).

Rules that the table does not show: one timer per element, whose meaning is the state's (HUNT: until when to wait, REG:
T2, READY: T4, DEREG: T3); what changes while a registration is on its way goes out with the next one; in HUNT, an
element registers as soon as there is a home and nothing left to wait for.
"""

import enum
import math
import typing
from collections.abc import Callable
from dataclasses import replace

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
from rserpool.protocol.client.events import ElementState, ElementStatus
from rserpool.protocol.timers import Timer

if typing.TYPE_CHECKING:
    from rserpool.protocol.client.node import Node

MAX_REREGISTRATION = 600.0
MARGIN = 20.0
UNIT = 1000
"""What a second of life is on the wire: registrars that count in seconds (RFC 5354 3.10) then keep the registration for
longer than need be, those that count in milliseconds for as long as it says. Keep-alives tell the dead anyway."""
FOR_EVER = -1
LONGEST = (1 << 31) - 1
Values = tuple[Policy, Transport, float]
ADOPTION = 3 * MICROSECONDS
"""Within this time an element registers again at a registrar that took it over, so that not all do so at once."""
BREATH = MICROSECONDS
"""Microseconds after a grant before which an end of the registration is not answered by another one: a registrar that
ends what it grants must not keep us busy."""
EARLY = 0.05
"""The part of T4 that is random, so that elements that came together do not register again together."""
SPREAD = 0.5
"""The part of a pause that is random."""


class Input(enum.Enum):
    """What happens to an element."""

    START = enum.auto()
    HOME = enum.auto()
    """There is a home registrar, where there was none."""
    LOST = enum.auto()
    """The home registrar is lost."""
    MOVED = enum.auto()
    """Another registrar has made itself home (KA2.4)."""
    GRANTED = enum.auto()
    REJECTED = enum.auto()
    BUSY = enum.auto()
    """Rejected for lack of resources: another time, or elsewhere, it may be granted."""
    TAKEN = enum.auto()
    """Rejected because another element has the identifier, which was drawn at random."""
    ERROR = enum.auto()
    """ASAP_ERROR in place of an answer."""
    DUE = enum.auto()
    """The timer."""
    CHANGED = enum.auto()
    TURN = enum.auto()
    """A change that had to wait for those of other elements may be sent now."""
    EXPIRED = enum.auto()
    """The registrar says that there is no registration any more."""
    KEPT = enum.auto()
    """The registrar refuses to deregister it."""
    STOP = enum.auto()
    """Deregister."""
    DROP = enum.auto()
    """Deregister, where nothing has ever been registered."""


def reregistration_interval(life: float) -> float:
    """T4: seconds between registrations that last ``life`` seconds (RFC 5352 7.1; half the life where it is short)."""
    return min(MAX_REREGISTRATION, life - MARGIN) if life > 2 * MARGIN else life / 2


def wire_life(life: float) -> int:
    """What is sent for a life in seconds, unless something else is asked for."""
    return FOR_EVER if math.isinf(life) else min(round(life * UNIT), LONGEST)


class Element:
    """One pool element of a node; made by Node.add. ``life`` in seconds, infinite for ever; ``life_on_wire`` the number
    that is sent for it, else 1000 times it; ``reregister_every`` T4 in seconds, else as RFC 5352 7.1 has it.

    Without ``identifier`` one is drawn at random, and another where that one is taken.
    """

    def __init__(
        self,
        node: "Node",
        number: int,
        handle: bytes,
        user_transport: Transport,
        policy: Policy,
        *,
        life: float,
        identifier: int | None,
        life_on_wire: int | None,
        reregister_every: float | None,
    ) -> None:
        self.number = number
        self.pool_handle = handle
        self.state = ElementState.IDLE
        self.registered = False
        """Whether the home registrar has granted it, as far as we know."""
        self.attempts = 0
        """Registrations that have failed in a row."""
        self._node = node
        self._drawn = identifier is None
        self._life = life
        self._life_on_wire = life_on_wire
        self._interval = reregister_every
        self.identifier = self._draw() if identifier is None else identifier
        self._check(user_transport, policy, life)
        self.user_transport = user_transport
        self.policy = policy
        if (handle, self.identifier) in node.elements:
            raise LocalProtocolError(f"pool {handle!r} has an element 0x{self.identifier:08x} on this node already")
        self._timer: Timer[None] | None = None
        self._dirty = False
        self._asked = False
        """Whether any registrar may know it."""
        self._granted = 0
        self._sent_values: Values | None = None
        self._granted_values: Values | None = None
        self._shown: ElementStatus | None = None

    # What the application asks for; the node's actions are to be drained after each

    def start(self, now: int) -> None:
        """Register, and stay registered."""
        self._node.leave_tcp(now)
        self.feed(Input.START, now)

    def deregister(self, now: int) -> None:
        """Leave the pool; IDLE follows once a registrar has confirmed it (RFC 5352 3.2)."""
        self.feed(Input.STOP if self._asked else Input.DROP, now)

    def change(
        self,
        now: int,
        *,
        policy: Policy | None = None,
        user_transport: Transport | None = None,
        life: float | None = None,
    ) -> None:
        """Register anew with other values; a refused element thereby gets another chance. LocalProtocolError, and
        nothing is changed, for values that cannot be sent."""
        policy = policy or self.policy
        user_transport = user_transport or self.user_transport
        life = self._life if life is None else life
        if (policy, user_transport, life) == self._wanted:
            return
        self._check(user_transport, policy, life)
        self.policy, self.user_transport, self._life = policy, user_transport, life
        self.feed(Input.CHANGED, now)

    @property
    def _wanted(self) -> "Values":
        return self.policy, self.user_transport, self._life

    @property
    def wanting(self) -> bool:
        """Whether it needs a registrar."""
        return self.state not in (ElementState.IDLE, ElementState.REFUSED)

    @property
    def acknowledges(self) -> bool:
        """Whether a registrar that asks for it is to be told that it lives."""
        return self.state is not ElementState.IDLE

    @property
    def interval(self) -> float:
        """T4 in seconds."""
        return reregistration_interval(self._life) if self._interval is None else self._interval

    def drop(self) -> None:
        """Gone, without a word to anybody."""
        self._cancel()
        self._node.settled(self)
        self.state, self.registered = ElementState.IDLE, False

    # What comes from the registrar

    def answered(self, message: RegistrationResponse, now: int) -> None:
        """A REGISTRATION_RESPONSE of the home for this element. An error beside a grant is a warning (A-18)."""
        causes = message.operation_error
        code = causes[0].code if causes else Cause.UNSPECIFIED_ERROR
        if self.state is not ElementState.REG:
            return
        if not message.reject:
            self.feed(Input.GRANTED, now, causes)
        elif code == Cause.LACK_OF_RESOURCES:
            self.feed(Input.BUSY, now, causes)
        elif code == Cause.NON_UNIQUE_PE_IDENTIFIER and self._drawn and not self.registered:
            self.feed(Input.TAKEN, now, causes)
        else:
            self.feed(Input.REJECTED, now, causes)

    def released(self, message: DeregistrationResponse, now: int) -> None:
        """A DEREGISTRATION_RESPONSE of the home for this element, asked for or not (RFC 5352 3.2)."""
        if not message.operation_error:
            self.feed(Input.EXPIRED, now)
        elif self.state is ElementState.DEREG:
            self.feed(Input.KEPT, now, message.operation_error)

    def error(self, causes: tuple[ErrorCause, ...], now: int) -> None:
        """The home sent an ASAP_ERROR, and this element was the first that waited for an answer."""
        self.feed(Input.ERROR, now, causes)

    # The machine

    def feed(self, what: Input, now: int, causes: tuple[ErrorCause, ...] = ()) -> None:
        """Something happens. What the table does not know in this state means nothing."""
        found = TABLE.get((self.state, what))
        if found is None:
            return
        act, following = found
        self.state = following
        news = act(self, now, causes)
        if self.state is ElementState.HUNT and self._timer is None:
            self._go_on(now)
        self.show(news, causes)

    def show(self, reason: str = "", causes: tuple[ErrorCause, ...] = ()) -> None:
        """Tell the application, if there is something to tell."""
        renewing = self.registered and self.state in (ElementState.REG, ElementState.HUNT)
        shown = ElementStatus(
            element=self.number,
            pool_handle=self.pool_handle,
            identifier=self.identifier,
            state=ElementState.READY if renewing else self.state,
            current=self.registered and self._granted_values == self._wanted,
            home=self._node.home_record,
        )
        if shown != self._shown or reason:
            self._shown = shown
            self._node.happened(replace(shown, reason=reason, causes=causes, attempts=self.attempts))

    def _go_on(self, now: int) -> None:
        """In HUNT, with nothing to wait for: register, or look for a home."""
        if self._node.home is None:
            self._node.hunt(now)
        else:
            self.state = ElementState.REG
            self._register(now, ())

    def _register(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        home = self._node.home
        assert home is not None
        self._dirty = False
        self._asked = True
        self.attempts += 1
        self._arm(now, self._node.settings.registration_timeout)
        self._sent_values = self._wanted
        self._node.ask(self, home, self._request(self.user_transport, self.policy, self._life))
        return ""

    def _register_again(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """What is registered already is to stay, or to change."""
        self.attempts = 0
        return self._register(now, causes)

    def _renew(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Something has changed: at once, unless that happens too often on this node."""
        if self._node.turn(self, now):
            self.state = ElementState.REG
            return self._register_again(now, causes)
        return ""

    def _changed(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self._dirty = True
        return ""

    def _try_anew(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self.attempts = 0
        self._rest()
        return ""

    def _settle(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Granted."""
        self._node.settled(self)
        self.attempts = 0
        self.registered = True
        self._granted = now
        self._granted_values = self._sent_values
        self._await_t4(now)
        if self._dirty:
            self._renew(now, ())
        return "the registrar warns" if causes else ""

    def _reject(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Refused for good: an older registration, if there is one, stays until its life ends."""
        self._rest()
        self._asked = self.registered
        if self._dirty:
            self._dirty = False
            self.state = ElementState.HUNT
        text = f"element 0x{self.identifier:08x} of pool {self.pool_handle!r} is refused"
        self._node.note(Level.ERROR, text, text)
        return "refused"

    def _busy(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """The registrar lacks resources: another one may have them, if no other element depends on this one's."""
        self._rest()
        self._pause(now)
        node = self._node
        if node.home is not None and node.alternative(now) and not any(e.registered for e in node.elements.values()):
            node.mistrust(node.home, "lacks resources", now)
        return "the registrar lacks resources"

    def _redraw(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Another identifier, until the attempts are used up."""
        self._rest()
        del self._node.elements[self.pool_handle, self.identifier]
        self.identifier = self._draw()
        self._node.elements[self.pool_handle, self.identifier] = self
        return self._wait_if_in_vain(now, "the identifier is taken")

    def _answerless(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """T2, T3 or an error in place of an answer: another registrar is asked (RFC 5352 3.7.3)."""
        self._rest()
        why = "answered with an error" if causes else "did not answer"
        news = self._wait_if_in_vain(now, f"the registrar {why}") if self.state is ElementState.HUNT else ""
        if self._node.home is not None:
            self._node.mistrust(self._node.home, why, now)
        return news

    def _cut_off(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """The home registrar is lost, and with it the registration."""
        self.registered = False
        self._rest()
        return self._wait_if_in_vain(now, "the registrar is lost")

    def _ungrant(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Whatever was registered is not any more."""
        self.registered = False
        return ""

    def _expire(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self.registered = False
        self._rest()
        if now < self._granted + BREATH:
            self._arm_at(self._granted + BREATH)
        return "the registration has expired"

    def _move(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self._arm_at(now + round(ADOPTION * self._node.randomness.random()))
        return ""

    def _withdraw(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        """Deregister where there is a home, else look for one."""
        self._rest()
        home = self._node.home
        if home is None:
            self.registered = False
            self._node.hunt(now)
            return ""
        self._arm(now, self._node.settings.deregistration_timeout)
        self._node.ask(self, home, Deregistration(pool_handle=self.pool_handle, pe_identifier=self.identifier))
        return ""

    def _finish(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self._rest()
        self.registered = self._asked = False
        self.attempts = 0
        return ""

    def _keep(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        self._rest()
        self._await_t4(now)
        return "the registrar refuses to deregister it"

    def _nothing(self, now: int, causes: tuple[ErrorCause, ...]) -> str:
        return ""

    # Parts

    def _wait_if_in_vain(self, now: int, why: str) -> str:
        """Beyond MAX-REG-ATTEMPT, it waits longer from time to time before it tries again."""
        if self.attempts <= self._node.settings.max_registration_attempts:
            return why
        self._pause(now)
        return f"{why}; {self.attempts} attempts have failed"

    def _pause(self, now: int) -> None:
        settings = self._node.settings
        beyond = max(0, self.attempts - settings.max_registration_attempts - 1)
        longest = min(settings.hunt_max, settings.server_hunt * 2.0 ** min(beyond, 20))
        self._arm(now, longest * (1 - SPREAD * self._node.randomness.random()))

    def _await_t4(self, now: int) -> None:
        self._arm(now, self.interval * (1 - EARLY * self._node.randomness.random()))

    def _rest(self) -> None:
        """Wait for nothing."""
        self._cancel()
        self._node.settled(self)

    def _arm(self, now: int, seconds: float) -> None:
        self._arm_at(now + round(seconds * MICROSECONDS))

    def _arm_at(self, deadline: int) -> None:
        self._cancel()
        self._timer = Timer(self._node.wheel, deadline, self._due)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, now: int) -> None:
        self._timer = None
        self.feed(Input.DUE, now)

    def _draw(self) -> int:
        while True:
            drawn = int(self._node.randomness.random() * 0xFFFFFFFF) + 1
            if (self.pool_handle, drawn) not in self._node.elements:
                return drawn

    def _request(self, user_transport: Transport, policy: Policy, life: float) -> Registration:
        wire = wire_life(life) if self._life_on_wire is None else self._life_on_wire
        element = PoolElement(
            identifier=self.identifier,
            home_identifier=self._node.home_identifier,
            registration_life=wire,
            user_transport=user_transport,
            policy=policy,
        )
        return Registration(pool_handle=self.pool_handle, pool_element=element)

    def _check(self, user_transport: Transport, policy: Policy, life: float) -> None:
        """Raises LocalProtocolError for what no registrar could be sent, or would accept."""
        if not life > 0:
            raise LocalProtocolError("the life of a registration is more than 0 seconds")
        if not 0 < self.identifier <= 0xFFFFFFFF:
            raise LocalProtocolError("a pool element identifier is 1 to 0xffffffff")
        if not self.pool_handle:
            raise LocalProtocolError("a pool handle has at least one octet")
        self._request(user_transport, policy, life).encode()


Act = Callable[[Element, int, tuple[ErrorCause, ...]], str]
"""(now, causes) -> what to tell the application about it, or nothing."""
_S, _I = ElementState, Input
TABLE: dict[tuple[ElementState, Input], tuple[Act, ElementState]] = {
    (_S.IDLE, _I.START): (Element._try_anew, _S.HUNT),
    (_S.HUNT, _I.HOME): (Element._nothing, _S.HUNT),
    (_S.HUNT, _I.LOST): (Element._ungrant, _S.HUNT),
    (_S.HUNT, _I.MOVED): (Element._try_anew, _S.HUNT),
    (_S.HUNT, _I.DUE): (Element._nothing, _S.HUNT),
    (_S.HUNT, _I.CHANGED): (Element._nothing, _S.HUNT),
    (_S.HUNT, _I.EXPIRED): (Element._ungrant, _S.HUNT),
    (_S.HUNT, _I.STOP): (Element._withdraw, _S.DEREG),
    (_S.HUNT, _I.DROP): (Element._finish, _S.IDLE),
    (_S.REG, _I.GRANTED): (Element._settle, _S.READY),
    (_S.REG, _I.REJECTED): (Element._reject, _S.REFUSED),
    (_S.REG, _I.BUSY): (Element._busy, _S.HUNT),
    (_S.REG, _I.TAKEN): (Element._redraw, _S.HUNT),
    (_S.REG, _I.ERROR): (Element._answerless, _S.HUNT),
    (_S.REG, _I.DUE): (Element._answerless, _S.HUNT),
    (_S.REG, _I.LOST): (Element._cut_off, _S.HUNT),
    (_S.REG, _I.MOVED): (Element._try_anew, _S.HUNT),
    (_S.REG, _I.CHANGED): (Element._changed, _S.REG),
    (_S.REG, _I.STOP): (Element._withdraw, _S.DEREG),
    (_S.READY, _I.DUE): (Element._register_again, _S.REG),
    (_S.READY, _I.TURN): (Element._register_again, _S.REG),
    (_S.READY, _I.CHANGED): (Element._renew, _S.READY),
    (_S.READY, _I.LOST): (Element._cut_off, _S.HUNT),
    (_S.READY, _I.MOVED): (Element._move, _S.READY),
    (_S.READY, _I.EXPIRED): (Element._expire, _S.HUNT),
    (_S.READY, _I.STOP): (Element._withdraw, _S.DEREG),
    (_S.DEREG, _I.HOME): (Element._withdraw, _S.DEREG),
    (_S.DEREG, _I.MOVED): (Element._withdraw, _S.DEREG),
    (_S.DEREG, _I.LOST): (Element._withdraw, _S.DEREG),
    (_S.DEREG, _I.DUE): (Element._answerless, _S.DEREG),
    (_S.DEREG, _I.ERROR): (Element._answerless, _S.DEREG),
    (_S.DEREG, _I.EXPIRED): (Element._finish, _S.IDLE),
    (_S.DEREG, _I.KEPT): (Element._keep, _S.READY),
    (_S.DEREG, _I.START): (Element._try_anew, _S.HUNT),
    (_S.REFUSED, _I.CHANGED): (Element._try_anew, _S.HUNT),
    (_S.REFUSED, _I.LOST): (Element._ungrant, _S.REFUSED),
    (_S.REFUSED, _I.EXPIRED): (Element._ungrant, _S.REFUSED),
    (_S.REFUSED, _I.DROP): (Element._finish, _S.IDLE),
    (_S.REFUSED, _I.STOP): (Element._withdraw, _S.DEREG),
}
"""(state, input) -> (what is done, next state). An action that finds more to do goes on from there to another state."""
