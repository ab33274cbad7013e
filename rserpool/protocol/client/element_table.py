"""The state table of a pool element (RFC 5352 3.1, 3.2, 3.4).

What the table does not show: in HUNT without a running pause, an element gets READY_TO_REGISTER at once if there is a
home registrar, and starts a hunt if there is none. An element has one timer, whose meaning depends on the state: the
pause in HUNT, T2 in REG, T4 in READY, T3 in DEREG. REQUEST_TURN and CONFIRM may go on with TURN at once. While a
renewal is on its way, the application sees READY (Element.show). Element.drop leaves any state for IDLE without an
event.
"""

import enum

from rserpool.protocol.client.events import ElementState
from rserpool.protocol.table import Transition


class ElementEvent(enum.Enum):
    """Events of a pool element."""

    START = enum.auto()
    """The application starts it."""
    READY_TO_REGISTER = enum.auto()
    """There is a home registrar, and no pause is running."""
    HOME_FOUND = enum.auto()
    """A registrar became home."""
    HOME_LOST = enum.auto()
    """The home registrar is lost."""
    ADOPTED = enum.auto()
    """Another registrar has taken the element over (RFC 5352 3.4, KA2.4)."""
    GRANTED = enum.auto()
    """The registrar accepts the registration."""
    REJECTED = enum.auto()
    """The registrar rejects the current values."""
    OUTDATED_REJECTED = enum.auto()
    """The registrar rejects values that have changed since they were sent."""
    LACKS_RESOURCES = enum.auto()
    """The registrar rejects the registration for lack of resources; it may succeed later or elsewhere."""
    IDENTIFIER_TAKEN = enum.auto()
    """The registrar rejects the registration because another element has the identifier, which was random."""
    ERROR = enum.auto()
    """The registrar answers with ASAP_ERROR."""
    TIMEOUT = enum.auto()
    """The timer has expired."""
    CHANGED = enum.auto()
    """The application has changed values."""
    TURN = enum.auto()
    """The rate limit of the node allows the element to send a change."""
    UNREGISTERED = enum.auto()
    """The registrar reports that the element is not registered any more."""
    DEREGISTRATION_REFUSED = enum.auto()
    """The registrar refuses to deregister it."""
    DEREGISTER = enum.auto()
    """The application deregisters it."""
    WITHDRAW = enum.auto()
    """The application deregisters it, and no registrar can know it."""


class ElementReaction(enum.Enum):
    """Reactions of a pool element. The methods of Element have the same names."""

    IGNORE = enum.auto()
    """Do nothing."""
    CONTINUE = enum.auto()
    """Register if there is a home and no pause is running."""
    START = enum.auto()
    """Reset the attempts and register."""
    REGISTER = enum.auto()
    """Send a registration and start T2."""
    RENEW = enum.auto()
    """Reset the attempts, send a registration and start T2."""
    POSTPONE_CHANGE = enum.auto()
    """Remember to send the change after the answer."""
    REQUEST_TURN = enum.auto()
    """Get TURN at once if the rate limit allows it, else later."""
    CONFIRM = enum.auto()
    """Start T4. If values have changed since, request a turn."""
    REFUSE = enum.auto()
    """Report the refusal and send nothing more. An older registration stays until its life ends."""
    REJECT_OUTDATED = enum.auto()
    """Report the refusal and register the changed values."""
    PAUSE = enum.auto()
    """Pause, and leave the registrar if another one is known and no element of the node is registered."""
    DRAW_IDENTIFIER = enum.auto()
    """Draw another identifier; pause after too many attempts."""
    RETRY_AFTER_ERROR = enum.auto()
    """Leave the registrar; pause after too many attempts."""
    RETRY_AFTER_TIMEOUT = enum.auto()
    """Leave the registrar; pause after too many attempts (RFC 5352 3.7.3)."""
    RETRY_AFTER_LOSS = enum.auto()
    """The registration is lost. Register at the next home; pause after too many attempts."""
    FORGET_REGISTRATION = enum.auto()
    """The registration is lost."""
    REGISTER_AGAIN = enum.auto()
    """The registration is lost. Register again, but not within a second of the last grant."""
    REGISTER_SOON = enum.auto()
    """Register at the new home at a random time within three seconds, so that not all elements do so at once."""
    DEREGISTER = enum.auto()
    """Send a deregistration and start T3; look for a home if there is none."""
    LEAVE_AFTER_ERROR = enum.auto()
    """Leave the registrar. The deregistration is repeated at the next one."""
    LEAVE_AFTER_TIMEOUT = enum.auto()
    """Leave the registrar. The deregistration is repeated at the next one (RFC 5352 3.7.3)."""
    STAY_REGISTERED = enum.auto()
    """Stay registered and start T4."""
    FINISH = enum.auto()
    """The element is deregistered."""


_S, _E, _R = ElementState, ElementEvent, ElementReaction
ANYTIME = (
    _E.START,
    _E.HOME_FOUND,
    _E.HOME_LOST,
    _E.ADOPTED,
    _E.CHANGED,
    _E.TURN,
    _E.UNREGISTERED,
    _E.DEREGISTER,
    _E.WITHDRAW,
)
"""Events that may come in every state. They are ignored where the rows below do not name them."""

TABLE: dict[tuple[ElementState, ElementEvent], Transition[ElementReaction, ElementState]] = {
    **{(state, event): Transition(_R.IGNORE, state) for state in ElementState for event in ANYTIME},
    (_S.IDLE, _E.START): Transition(_R.START, _S.HUNT),
    (_S.HUNT, _E.READY_TO_REGISTER): Transition(_R.REGISTER, _S.REG),
    (_S.HUNT, _E.HOME_FOUND): Transition(_R.CONTINUE, _S.HUNT),
    (_S.HUNT, _E.HOME_LOST): Transition(_R.FORGET_REGISTRATION, _S.HUNT),
    (_S.HUNT, _E.ADOPTED): Transition(_R.START, _S.HUNT),
    (_S.HUNT, _E.TIMEOUT): Transition(_R.CONTINUE, _S.HUNT),
    (_S.HUNT, _E.CHANGED): Transition(_R.CONTINUE, _S.HUNT),
    (_S.HUNT, _E.UNREGISTERED): Transition(_R.FORGET_REGISTRATION, _S.HUNT),
    (_S.HUNT, _E.DEREGISTER): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.HUNT, _E.WITHDRAW): Transition(_R.FINISH, _S.IDLE),
    (_S.REG, _E.GRANTED): Transition(_R.CONFIRM, _S.READY),
    (_S.REG, _E.REJECTED): Transition(_R.REFUSE, _S.REFUSED),
    (_S.REG, _E.OUTDATED_REJECTED): Transition(_R.REJECT_OUTDATED, _S.HUNT),
    (_S.REG, _E.LACKS_RESOURCES): Transition(_R.PAUSE, _S.HUNT),
    (_S.REG, _E.IDENTIFIER_TAKEN): Transition(_R.DRAW_IDENTIFIER, _S.HUNT),
    (_S.REG, _E.ERROR): Transition(_R.RETRY_AFTER_ERROR, _S.HUNT),
    (_S.REG, _E.TIMEOUT): Transition(_R.RETRY_AFTER_TIMEOUT, _S.HUNT),
    (_S.REG, _E.HOME_LOST): Transition(_R.RETRY_AFTER_LOSS, _S.HUNT),
    (_S.REG, _E.ADOPTED): Transition(_R.START, _S.HUNT),
    (_S.REG, _E.CHANGED): Transition(_R.POSTPONE_CHANGE, _S.REG),
    (_S.REG, _E.DEREGISTER): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.READY, _E.TIMEOUT): Transition(_R.RENEW, _S.REG),
    (_S.READY, _E.TURN): Transition(_R.RENEW, _S.REG),
    (_S.READY, _E.CHANGED): Transition(_R.REQUEST_TURN, _S.READY),
    (_S.READY, _E.HOME_LOST): Transition(_R.RETRY_AFTER_LOSS, _S.HUNT),
    (_S.READY, _E.ADOPTED): Transition(_R.REGISTER_SOON, _S.READY),
    (_S.READY, _E.UNREGISTERED): Transition(_R.REGISTER_AGAIN, _S.HUNT),
    (_S.READY, _E.DEREGISTER): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.DEREG, _E.START): Transition(_R.START, _S.HUNT),
    (_S.DEREG, _E.HOME_FOUND): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.DEREG, _E.HOME_LOST): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.DEREG, _E.ADOPTED): Transition(_R.DEREGISTER, _S.DEREG),
    (_S.DEREG, _E.ERROR): Transition(_R.LEAVE_AFTER_ERROR, _S.DEREG),
    (_S.DEREG, _E.TIMEOUT): Transition(_R.LEAVE_AFTER_TIMEOUT, _S.DEREG),
    (_S.DEREG, _E.UNREGISTERED): Transition(_R.FINISH, _S.IDLE),
    (_S.DEREG, _E.DEREGISTRATION_REFUSED): Transition(_R.STAY_REGISTERED, _S.READY),
    (_S.REFUSED, _E.CHANGED): Transition(_R.START, _S.HUNT),
    (_S.REFUSED, _E.HOME_LOST): Transition(_R.FORGET_REGISTRATION, _S.REFUSED),
    (_S.REFUSED, _E.UNREGISTERED): Transition(_R.FORGET_REGISTRATION, _S.REFUSED),
    (_S.REFUSED, _E.WITHDRAW): Transition(_R.FINISH, _S.IDLE),
    (_S.REFUSED, _E.DEREGISTER): Transition(_R.DEREGISTER, _S.DEREG),
}
