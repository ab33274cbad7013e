"""The action log: a line for each message sent or received, in rsplib's columns.

ActionLog formats the messages of the readable way. For those that fast lanes serve, a Journal writes the same columns.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rserpool._fast.lane.journal import Journal
from rserpool.errors import RemoteProtocolError
from rserpool.messages import (
    AsapError,
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    EnrpError,
    HandleResolution,
    HandleResolutionResponse,
    HandleTableResponse,
    HandleUpdate,
    ListResponse,
    Message,
    Registration,
    RegistrationResponse,
    ServerAnnounce,
    decode,
    message_flags,
)
from rserpool.model.numbers import MICROSECONDS
from rserpool.registrar.instruments.observers import Channel
from rserpool.registrar.instruments.output import Output

HEADER = (
    "AbsTime RelTime   Direction Protocol Action Reason   Flags Counter Time   PoolHandle PoolElementID   "
    "SenderID ReceiverID TargetID   ErrorCode\n"
)
MAX_OUTSTANDING = 65_536
"""The largest number of keep-alives whose acknowledgements are timed at once. Otherwise elements that never answer
would fill the memory."""
ADD = 0

NAMES: dict[type[Message], str] = {
    ServerAnnounce: "Announce",
    HandleUpdate: "Update",
    AsapError: "Error",
    EnrpError: "Error",
}
"""Messages whose name in the log differs from the record's name."""
REQUESTED = (
    Registration,
    RegistrationResponse,
    Deregistration,
    DeregistrationResponse,
    HandleResolution,
    HandleResolutionResponse,
)
MULTICAST = (Channel.MULTICAST_ASAP, Channel.MULTICAST_ENRP)
OURS = (Registration, RegistrationResponse, Deregistration, DeregistrationResponse)
"""Messages whose sender column shows this registrar even if it is the receiver."""


@dataclass(slots=True, kw_only=True)
class Row:
    """The columns that a message fills."""

    action: str
    reason: str = ""
    counter: int = 0
    seconds: float = 0.0
    handle: bytes = b""
    element: int = 0
    sender: int = 0
    receiver: int = 0
    target: int = 0
    error: int = 0


def quoted(octets: bytes) -> str:
    """A pool handle as one word of printable ASCII in quotation marks, other octets as \\xHH."""
    shown = (chr(o) if 0x20 <= o < 0x7F and o not in b'"\\' else f"\\x{o:02x}" for o in octets)
    return f'"{"".join(shown)}"'


class ActionLog:
    """An observer that calls ``write`` with one line per message, without line number. Own multicasts that come back
    are left out.

    ``identifier`` returns this registrar's identifier. ``elapsed`` and ``wall`` return seconds: since the start, by a
    monotonic clock, and since 1970. ``outstanding`` contains the time of each keep-alive that was not acknowledged yet.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        identifier: Callable[[], int],
        keep_alive_interval: float,
        *,
        wall: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        self._write = write
        self._identifier = identifier
        self._interval = keep_alive_interval
        self._wall = wall
        self._elapsed = elapsed
        self.outstanding: dict[tuple[bytes, int], float] = {}

    def sent(self, channel: Channel, data: bytes) -> None:
        """See Observer."""
        self._log("Send", channel, data)

    def received(self, channel: Channel, data: bytes) -> None:
        """See Observer."""
        self._log("Recv", channel, data)

    def _log(self, direction: str, channel: Channel, data: bytes) -> None:
        try:
            message = decode(data, "enrp" if channel in (Channel.ENRP, Channel.MULTICAST_ENRP) else "asap")
            if direction == "Recv" and channel in MULTICAST and self._is_ours(message):
                return
            row = self._row(message)
        except RemoteProtocolError as error:
            row = Row(action="Malformed", error=int(error.cause))
        self._write(
            f'  {self._wall():.6f} {self._elapsed():.6f}   "{direction}" "{channel}" "{row.action}" "{row.reason}"   '
            f"{message_flags(data):#x} {row.counter} {row.seconds:.6f}   {quoted(row.handle)} {row.element:#x}   "
            f"{row.sender:#x} {row.receiver:#x} {row.target:#x}   {row.error:x}"
        )

    def _is_ours(self, message: Message) -> bool:
        sender = getattr(message, "sender_identifier", getattr(message, "server_identifier", 0))
        return bool(sender == self._identifier())

    def _row(self, message: Message) -> Row:
        causes = getattr(message, "operation_error", ())
        row = Row(
            action=NAMES.get(type(message), type(message).__name__),
            reason="Requested" if isinstance(message, REQUESTED) else "",
            handle=getattr(message, "pool_handle", b""),
            element=element_of(message),
            counter=count_of(message),
            sender=getattr(message, "sender_identifier", getattr(message, "server_identifier", 0)),
            receiver=getattr(message, "receiver_identifier", 0),
            target=getattr(message, "target_identifier", 0),
            error=causes[0].code if causes else 0,
        )
        match message:
            case EndpointKeepAlive():
                row.reason = "TakeOver" if message.home else "KeepAliveTransmissionTimer"
                row.seconds = 0.0 if message.home else self._interval
                self._remember((row.handle, row.element))
            case EndpointKeepAliveAck():
                row.reason = "InTime"
                asked = self.outstanding.pop((row.handle, row.element), None)
                row.seconds = self._elapsed() - asked if asked is not None else 0.0
            case HandleUpdate():
                row.reason = "AddPE" if message.update_action == ADD else "DelPE"
            case EndpointUnreachable():
                row.reason = "EndpointUnreachable"
            case _ if isinstance(message, OURS):
                row.sender = self._identifier()
        return row

    def _remember(self, element: tuple[bytes, int]) -> None:
        self.outstanding.pop(element, None)
        if len(self.outstanding) >= MAX_OUTSTANDING:
            del self.outstanding[next(iter(self.outstanding))]
        self.outstanding[element] = self._elapsed()


class ActionLogFile:
    """The action log's file. ``line`` writes the lines of the readable way; ``journal`` gathers those of fast lanes.

    ``began`` is the monotonic time in seconds at which relative time begins, ``outstanding`` the ActionLog's."""

    def __init__(
        self,
        output: Output,
        began: float,
        outstanding: dict[tuple[bytes, int], float],
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._wall = wall
        self._monotonic = monotonic
        self.journal = Journal(origin=round(began * MICROSECONDS), outstanding=outstanding, on_full=self.write_journal)
        self.journal.lines = output.lines
        self.write_journal()

    def line(self, text: str) -> None:
        """Write a line after those of the journal."""
        self.write_journal()
        self._output.line(text)
        self.journal.lines = self._output.lines

    def write_journal(self) -> None:
        """Write the journal's lines, and follow the wall clock."""
        lines, left_out = self.journal.take()
        self._output.text(lines)
        self._output.lines = self.journal.lines
        if left_out:
            self._output.text(f"# {left_out} lines were left out here: the buffer was full\n")
        self.journal.wall_offset = round((self._wall() - self._monotonic()) * MICROSECONDS)


def element_of(message: Message) -> int:
    """The pool element in a message: the first of several, 0 for none."""
    match message:
        case Registration() | HandleUpdate():
            return message.pool_element.identifier
        case HandleResolutionResponse() if message.pool_elements:
            return message.pool_elements[0].identifier
    return getattr(message, "pe_identifier", None) or 0


def count_of(message: Message) -> int:
    """The number of items that a message asks for or lists."""
    match message:
        case HandleResolution():
            return message.items or 0
        case HandleResolutionResponse():
            return len(message.pool_elements)
        case ListResponse():
            return len(message.servers)
        case HandleTableResponse():
            return sum(len(entry.pool_elements) for entry in message.pool_entries)
    return 0
