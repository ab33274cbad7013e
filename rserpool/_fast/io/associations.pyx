"""The associations of one endpoint: tracks their states, reassembles their messages and calls the handler."""

import errno as codes
from collections import deque

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rserpool._fast.lane.lane cimport Lane

from rserpool.model import association_ends as shared
from rserpool.model.association_ends import AssociationGone, Down
from rserpool.model.numbers import MAX_MESSAGE_OCTETS
from rserpool.errors import LocalProtocolError

cdef size_t MAX_HELD = shared.MAX_HELD
cdef uint32_t ASAP_PPID = 11
cdef size_t PROBE = 1500              # octets read at once from a paused association: one probe of its closed window
cdef dict REASONS = {
    <int>SHUT: Down.SHUTDOWN, <int>LOST: Down.LOST, <int>ABORTED: Down.ABORTED, <int>NOT_STARTED: Down.CANT_START,
}


cdef class Association:
    """One association, from connect() or the peer's INIT until the stack has forgotten it; see associations.pxd."""


cdef inline bint has_ended(Association association) noexcept:
    """Return True once the end of an association has begun, so that nothing more may be sent."""
    return (
        association.end_reported or association.end_pending or association.shutdown_pending or association.aborted
    )


cdef class Associations:
    """The associations of one endpoint. A back end derives its socket class from this one, and its endpoint from both.

    The socket class must

    1. call add_association() for each association that it opens or that a peer opens; then state_changed() with UP, and
       once at the end with SHUT, LOST, ABORTED or NOT_STARTED; and message_received() for each message or piece of one.
       It calls them from the loop only, never from inside a method of interface.Endpoint;
    2. implement request_end(), after which the stack ends an association and reports that by state_changed();
    3. implement send_answer(), so that lanes can answer;
    4. call mark_blocked() when the stack takes no message, and report_writable() when there is room again;
    5. implement peel_off(), read_own_socket(), reopen_window() and release_association(), so that the receive window of
       a paused association closes; without them the association is aborted once MAX_HELD octets are held;
    6. implement defer_shutdown(), and call finish_shutdown() when the peer has everything that was sent;
    7. implement rtt().

    The endpoint class must

    8. set ``handler`` and ``clock``, and implement peer_addresses() and peer_record();
    9. let schedule_delivery() call deliver_held() from the loop;
    10. let start_probing() call probe_windows() about once a second until that returns False;
    11. let start_shutdown_timer() call finish_shutdown() when the peer has taken too long;
    12. let handler_failed() report the handler's exceptions, and raise none.
    """

    def __cinit__(self, *args, **kwargs) -> None:
        self.table = {}
        self.peeled_off = {}
        self.ended_undelivered = {}
        self.max_message = MAX_MESSAGE_OCTETS

    @property
    def count(self) -> int:
        """The number of associations that the stack has not forgotten."""
        return len(self.table)

    def identifiers(self) -> list[int]:
        """Return the identifiers of those associations."""
        return list(self.table)

    def any_up(self) -> bool:
        """Return True if any of those associations is up."""
        cdef Association association
        for association in self.table.values():
            if association.up:
                return True
        return False

    def peer_addresses(self, assoc: int) -> tuple:
        """See interface.Endpoint.peer_addresses."""
        raise NotImplementedError

    def rtt(self, assoc: int) -> float | None:
        """See interface.Endpoint.rtt."""
        raise NotImplementedError

    def peer_record(self, assoc: int, port: int) -> object:
        """Return the peer's record for Handler.on_up. AssociationGone."""
        raise NotImplementedError

    def first_added(self) -> None:
        """Called when the count becomes 1."""

    def last_removed(self) -> None:
        """Called when the count becomes 0."""

    def handler_failed(self, error: Exception) -> None:
        """Called when the handler has raised an exception."""
        raise error

    def schedule_delivery(self, assoc: int) -> None:
        """Call deliver_held() for that association, from the loop."""

    cdef int peel_off(self, uint32_t assoc, Association association) except -1:
        """Peel a paused association off to a socket of its own, which is not read, so that its window closes."""
        return 0

    cdef int read_own_socket(self, uint32_t assoc, size_t limit) except -1:
        """Read an association's own socket; at most ``limit`` octets while it is paused."""
        return 0

    def start_probing(self) -> None:
        """Call probe_windows() about once a second until it returns False: a peeled-off association is paused."""

    def probe_windows(self) -> bool:
        """Read and hold a few octets of each paused association that is peeled off. True if there are any.

        A stack may give up a peer whose window stays closed (libusrsctp after 30 probes) although the probes are
        answered. So a probe must be accepted now and then.
        """
        cdef Association association
        cdef bint any_paused = False
        for assoc in tuple(self.peeled_off.values()):
            association = self.table.get(assoc)
            if association is not None and association.paused:
                any_paused = True
                if association.held_octets < MAX_HELD // 2:
                    self.read_own_socket(assoc, PROBE)
        return any_paused

    cdef int reopen_window(self, uint32_t assoc, Association association) except -1:
        """Begin to read again from an association that is no longer paused and has no held messages."""
        return 0

    cdef int release_association(self, Association association) except -1:
        """Free what the back end keeps for an association that the stack has forgotten."""
        return 0

    cdef Association add_association(self, uint32_t assoc, uint16_t port):
        """Add an association that the back end has opened or accepted."""
        cdef Association association = Association()
        association.port = port
        self.table[assoc] = association
        if len(self.table) == 1:
            self.first_added()
        return association

    cdef Association require_open(self, object assoc):
        """Return an association that can send; AssociationGone once its end has begun."""
        cdef Association association = self.table.get(assoc)
        if association is None or has_ended(association):
            raise AssociationGone(f"association {assoc} is gone")
        return association

    cdef object existing(self, object assoc):
        """Return the identifier of an association that connect() found. OSError while it is ending."""
        cdef Association association = self.table[assoc]
        if association.end_reported or association.end_pending or association.aborted:
            raise OSError(codes.EALREADY, "the last association with that peer is still ending")
        return assoc

    cdef bytes check_size(self, bytes data):
        """Return the message if it may be sent; else raise LocalProtocolError."""
        if not 0 < <size_t>len(data) <= self.max_message:
            raise LocalProtocolError(f"a message has 1 to {self.max_message} octets, not {len(data)}")
        return data

    cdef int message_received(
        self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, bint whole
    ) except -1:
        """Process a received message; with ``whole`` False, a piece that is not the last one of its message."""
        cdef Association association = self.table.get(assoc)
        cdef bytes message
        cdef size_t held = 0
        if association is None or association.end_reported or association.aborted:
            return 0
        if association.partial is not None:
            held = <size_t>len(association.partial)
        if held + length > self.max_message:
            association.partial = None
            self.abort(assoc)
            return 0
        if association.lane is not None and ppid == ASAP_PPID and whole and association.partial is None:
            if self.answer_from_lane(assoc, association, data, length):
                return 0
        message = data[:<Py_ssize_t>length]
        if held or not whole:
            if association.partial is None:
                association.partial = bytearray()
            association.partial += message
            if not whole:
                return 0
            message = bytes(association.partial)
            association.partial = None
        if association.paused or association.held is not None:
            self.hold(assoc, association, message, ppid)
        else:
            self.deliver(assoc, message, ppid)
        if association.lane is not None:
            association.lane.declined = False
        return 0

    def attach(self, assoc: int, Lane lane not None) -> None:
        """See interface.Attaching."""
        self.require_open(assoc).lane = lane
        self.handlespace = lane.context.handlespace

    cdef bint answer_from_lane(
        self, uint32_t assoc, Association association, const char *data, size_t length
    ) except -1:
        """Answer a message from the association's lane; False if the handler must get it.

        While earlier messages or answers wait, this message must wait too.
        """
        cdef object answer
        if association.blocked or association.paused or association.held is not None:
            return False
        try:
            answer = association.lane.serve_one(<const uint8_t *>data, length, <uint64_t>(self.clock() * 1e6))
            if answer and not self.send_answer(assoc, answer):
                self.handler.on_answer(self, assoc, answer)
        except Exception as error:
            self.handler_failed(error)
            return True
        return answer is not None

    cdef bint send_answer(self, uint32_t assoc, bytes answer) except -1:
        """Send a lane's answer; False if there is no room or the association has ended."""
        return False

    cdef int deliver(self, uint32_t assoc, bytes message, object ppid) except -1:
        """Give the handler a message."""
        try:
            self.handler.on_message(self, assoc, message, ppid)
        except Exception as error:
            self.handler_failed(error)
        return 0

    cdef int hold(self, uint32_t assoc, Association association, bytes message, object ppid) except -1:
        """Hold a message until resume(); None stands for a restart."""
        if association.held is None:
            association.held = deque()
        association.held.append((message, ppid))
        if message is not None:
            association.held_octets += <size_t>len(message)
        if association.held_octets > MAX_HELD:
            self.abort(assoc)
        return self.peel_off(assoc, association)

    cdef Association reportable(self, object assoc):
        """Return an association whose end was not reported to the handler yet, or None."""
        cdef Association association = self.table.get(assoc)
        if association is None:
            association = self.ended_undelivered.get(assoc)
        return None if association is None or association.end_reported else association

    def pause(self, assoc: int) -> None:
        """See interface.Endpoint.pause."""
        cdef Association association = self.reportable(assoc)
        if association is not None and association.up:
            association.paused = True
            if association.own_socket:
                self.start_probing()

    def resume(self, assoc: int) -> None:
        """See interface.Endpoint.resume."""
        cdef Association association = self.reportable(assoc)
        if association is not None and association.paused:
            association.paused = False
            self.schedule_delivery(assoc)

    def deliver_held(self, assoc: int) -> None:
        """Deliver the held messages, and the end that follows them, unless the association is paused again."""
        cdef Association association = self.reportable(assoc)
        cdef bytes message
        while association is not None and association.held and not (
            association.paused or association.aborted or association.end_reported
        ):
            message, ppid = association.held.popleft()
            if message is not None:
                association.held_octets -= <size_t>len(message)
                self.deliver(assoc, message, ppid)
            else:
                self.report_restart(assoc)
        if association is None or association.paused or association.end_reported:
            return
        association.held = None
        association.held_octets = 0
        if not association.end_pending:
            if not association.aborted:
                self.reopen_window(assoc, association)
        elif not association.aborted or assoc in self.ended_undelivered:
            self.ended_undelivered.pop(assoc, None)
            self.report_down(assoc, association, ABORTED if association.aborted else SHUT)

    cdef int report_restart(self, uint32_t assoc) except -1:
        """Call on_restart."""
        try:
            self.handler.on_restart(self, assoc)
        except Exception as error:
            self.handler_failed(error)
        return 0

    cdef int report_up(self, uint32_t assoc, Association association) except -1:
        """Call on_up."""
        try:
            peer = self.peer_record(assoc, association.port)
        except AssociationGone:                         # the next event will report that
            association.up = False
            association.aborted = True
            return 0
        self.handler.on_up(self, assoc, peer)
        return 0

    cdef int report_down(self, uint32_t assoc, Association association, State state) except -1:
        """Call on_down."""
        association.end_reported = True
        association.held = None
        try:
            self.handler.on_down(self, assoc, REASONS[<int>state])
        except Exception as error:
            self.handler_failed(error)
        return 0

    cdef int state_changed(self, uint32_t assoc, State state) except -1:
        """Process a new state of an association in the table."""
        cdef Association association = self.table.get(assoc)
        if association is None:
            return 0
        try:
            if state == UP:
                association.up = not association.aborted
                if association.end_reported:
                    association.aborted = True
                    self.request_end(assoc, True)
                elif not association.aborted:
                    self.report_up(assoc, association)
            elif state == RESTARTED:
                association.partial = None
                if association.end_reported or association.aborted:
                    pass
                elif association.held is not None:
                    self.hold(assoc, association, None, None)
                else:
                    self.report_restart(assoc)
            elif state == SHUT_BY_PEER:
                if association.up and association.held is not None:
                    association.end_pending = True
                elif association.up and not association.end_reported:
                    self.report_down(assoc, association, SHUT)
            else:
                self.remove(assoc, association, state)
        except Exception as error:
            self.handler_failed(error)
        return 0

    cdef int remove(self, uint32_t assoc, Association association, State state) except -1:
        """Remove an association that the stack has forgotten; report its end now, or after the held messages."""
        del self.table[assoc]
        self.release_association(association)
        if not association.up:
            state = NOT_STARTED
        elif association.aborted:
            state = ABORTED
        if association.end_pending and not association.aborted or state == SHUT and association.held is not None:
            association.end_pending = True
            self.ended_undelivered[assoc] = association
        elif not association.end_reported:
            self.report_down(assoc, association, state)
        if not self.table:
            self.last_removed()
        return 0

    def shutdown(self, assoc: int) -> None:
        """See interface.Endpoint.shutdown."""
        cdef Association association = self.table.get(assoc)
        if association is None or has_ended(association):
            return
        if not association.up:
            self.abort(assoc)
        elif self.defer_shutdown(assoc, association):
            association.shutdown_pending = True
            self.start_shutdown_timer(assoc)
        else:
            self.request_end(assoc, False)

    def start_shutdown_timer(self, assoc: int) -> None:
        """Call finish_shutdown() for that association if the peer takes too long to acknowledge everything."""

    def finish_shutdown(self, assoc: int) -> None:
        """End an association whose shutdown() was deferred."""
        cdef Association association = self.table.get(assoc)
        if (
            association is not None and association.shutdown_pending
            and not association.end_reported and not association.aborted
        ):
            self.request_end(assoc, False)

    cdef bint defer_shutdown(self, uint32_t assoc, Association association) except -1:
        """True if the peer may lack messages, and the back end calls finish_shutdown() once it has them all.

        Deferred because a stack that is shutting down treats a peer with a closed window as a silent one.
        """
        return False

    def abort(self, assoc: int) -> None:
        """See interface.Endpoint.abort."""
        cdef Association association = self.table.get(assoc)
        if association is not None and not association.aborted:
            association.aborted = True
            self.request_end(assoc, True)
            return
        association = self.ended_undelivered.get(assoc)
        if association is not None:
            association.aborted = True
            association.paused = False
            self.schedule_delivery(assoc)

    cdef int report_not_started(self, uint32_t assoc) except -1:
        """Report on_down now for an association whose connect cannot be cancelled; ignore its later events."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.end_reported or association.up:
            return 0
        return self.report_down(assoc, association, NOT_STARTED)

    cdef int request_end(self, uint32_t assoc, bint at_once) except -1:
        """Make the stack end an association; state_changed() follows."""
        return 0

    cdef Association mark_blocked(self, uint32_t assoc):
        """Mark an association as blocked; return it, or None if it is gone or was blocked before."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.blocked:
            return None
        association.blocked = True
        return association

    cdef int report_writable(self, uint32_t assoc) except -1:
        """Call on_writable for a blocked association that has room again."""
        cdef Association association = self.table.get(assoc)
        if association is None or not association.blocked:
            return 0
        association.blocked = False
        if association.end_reported or association.shutdown_pending or association.aborted:
            return 0
        try:
            self.handler.on_writable(self, assoc)
        except Exception as error:
            self.handler_failed(error)
        return 0
