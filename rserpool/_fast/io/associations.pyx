"""The associations of one endpoint: their states, the reassembly of their messages, the calls of the handler."""

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
cdef size_t SIP = 1500                # octets: a probe of a closed window
cdef dict REASONS = {
    <int>SHUT: Down.SHUTDOWN, <int>LOST: Down.LOST, <int>ABORTED: Down.ABORTED, <int>NOT_STARTED: Down.CANT_START,
}


cdef class Association:
    """One association, from connect() or the peer's arrival until the stack is done with it."""


cdef class Associations:
    """A subclass owes ``handler`` and the hooks below; the back end calls arrived() and changed()."""

    def __cinit__(self, *args, **kwargs) -> None:
        self.table = {}
        self.parted = {}
        self.late = {}
        self.max_message = MAX_MESSAGE_OCTETS

    @property
    def count(self) -> int:
        """Associations that the stack still works for."""
        return len(self.table)

    def identifiers(self) -> list[int]:
        """Those associations."""
        return list(self.table)

    def any_up(self) -> bool:
        """Whether the stack works for an association that came up."""
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
        """The peer's record for Handler.on_up. AssociationGone."""
        raise NotImplementedError

    def occupied(self) -> None:
        """The count has left zero."""

    def vacant(self) -> None:
        """The count has reached zero."""

    def failed(self, error: Exception) -> None:
        """The handler raised."""
        raise error

    def soon(self, assoc: int) -> None:
        """catch_up() of that association is due, from the loop."""

    cdef int crowded(self, uint32_t assoc, Association association) except -1:
        """A paused association has more to hold: the back end should part it, so that its window closes."""
        return 0

    cdef int read_own(self, uint32_t assoc, size_t sip) except -1:
        """Hand over what waits on an association's own socket; that many octets of it while it is paused."""
        return 0

    def parting(self) -> None:
        """An association is paused that has a socket of its own: sip() is due now and then."""

    def sip(self) -> bool:
        """Take a little of what waits for each paused association, and hold it. Whether there are any.

        A stack may give up a peer whose window stays closed for long (libusrsctp after 30 probes), though the probes
        are answered: so one is accepted now and then.
        """
        cdef Association association
        cdef bint any_paused = False
        for assoc in tuple(self.parted.values()):
            association = self.table.get(assoc)
            if association is not None and association.paused:
                any_paused = True
                if association.weight < MAX_HELD // 2:
                    self.read_own(assoc, SIP)
        return any_paused

    cdef int emptied(self, uint32_t assoc, Association association) except -1:
        """An association is not paused and nothing is held: its stack may open its window."""
        return 0

    cdef int released(self, Association association) except -1:
        """The stack is done with an association."""
        return 0

    cdef Association admit(self, uint32_t assoc, uint16_t port):
        cdef Association association = Association()
        association.port = port
        self.table[assoc] = association
        if len(self.table) == 1:
            self.occupied()
        return association

    cdef Association living(self, object assoc):
        cdef Association association = self.table.get(assoc)
        if association is None or association.over or association.ending or association.leaving or association.aborted:
            raise AssociationGone(f"association {assoc} is gone")
        return association

    cdef object existing(self, object assoc):
        """The association that a connect() found; OSError while one with that peer is still ending."""
        cdef Association association = self.table[assoc]
        if association.over or association.ending or association.aborted:
            raise OSError(codes.EALREADY, "the last association with that peer is still ending")
        return assoc

    cdef bytes checked(self, bytes data):
        if not 0 < <size_t>len(data) <= self.max_message:
            raise LocalProtocolError(f"a message has 1 to {self.max_message} octets, not {len(data)}")
        return data

    cdef int arrived(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, bint whole) except -1:
        """A message or, where not ``whole``, one more piece that does not end it."""
        cdef Association association = self.table.get(assoc)
        cdef bytes message
        cdef size_t held = 0
        if association is None or association.over or association.aborted:
            return 0
        if association.partial is not None:
            held = <size_t>len(association.partial)
        if held + length > self.max_message:
            association.partial = None
            self.abort(assoc)
            return 0
        if association.lane is not None and ppid == ASAP_PPID and whole and association.partial is None:
            if self.answered(assoc, association, data, length):
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
            self.hand_over(assoc, message, ppid)
        if association.lane is not None:
            association.lane.declined = False
        return 0

    def attach(self, assoc: int, Lane lane not None) -> None:
        """See interface.Attaching."""
        self.living(assoc).lane = lane
        self.handlespace = lane.context.handlespace

    cdef bint answered(self, uint32_t assoc, Association association, const char *data, size_t length) except -1:
        """Whether the association's lane has served a message. Behind others that wait it must wait too."""
        cdef object answer
        if association.blocked or association.paused or association.held is not None:
            return False
        try:
            answer = association.lane.serve_one(<const uint8_t *>data, length, <uint64_t>(self.clock() * 1e6))
            if answer and not self.reply(assoc, answer):
                self.handler.on_answer(self, assoc, answer)
        except Exception as error:
            self.failed(error)
            return True
        return answer is not None

    cdef bint reply(self, uint32_t assoc, bytes answer) except -1:
        """Send an answer at once; False where there is no room, or no association any more."""
        return False

    cdef int hand_over(self, uint32_t assoc, bytes message, object ppid) except -1:
        try:
            self.handler.on_message(self, assoc, message, ppid)
        except Exception as error:
            self.failed(error)
        return 0

    cdef int hold(self, uint32_t assoc, Association association, bytes message, object ppid) except -1:
        """Keep a message until resume(); a restart where it is None."""
        if association.held is None:
            association.held = deque()
        association.held.append((message, ppid))
        if message is not None:
            association.weight += <size_t>len(message)
        if association.weight > MAX_HELD:
            self.abort(assoc)
        return self.crowded(assoc, association)

    cdef Association one(self, object assoc):
        """An association of which the handler has not heard the end, or None."""
        cdef Association association = self.table.get(assoc)
        if association is None:
            association = self.late.get(assoc)
        return None if association is None or association.over else association

    def pause(self, assoc: int) -> None:
        """See interface.Endpoint.pause."""
        cdef Association association = self.one(assoc)
        if association is not None and association.up:
            association.paused = True
            if association.own:
                self.parting()

    def resume(self, assoc: int) -> None:
        """See interface.Endpoint.resume."""
        cdef Association association = self.one(assoc)
        if association is not None and association.paused:
            association.paused = False
            self.soon(assoc)

    def catch_up(self, assoc: int) -> None:
        """Hand over what was held until it is paused again."""
        cdef Association association = self.one(assoc)
        cdef bytes message
        while association is not None and association.held and not (
            association.paused or association.aborted or association.over
        ):
            message, ppid = association.held.popleft()
            if message is not None:
                association.weight -= <size_t>len(message)
                self.hand_over(assoc, message, ppid)
            else:
                self.tell_restart(assoc)
        if association is None or association.paused or association.over:
            return
        association.held = None
        association.weight = 0
        if not association.ending:
            if not association.aborted:
                self.emptied(assoc, association)
        elif not association.aborted or assoc in self.late:
            self.late.pop(assoc, None)
            self.tell_end(assoc, association, ABORTED if association.aborted else SHUT)

    cdef int tell_restart(self, uint32_t assoc) except -1:
        try:
            self.handler.on_restart(self, assoc)
        except Exception as error:
            self.failed(error)
        return 0

    cdef int tell_up(self, uint32_t assoc, Association association) except -1:
        try:
            peer = self.peer_record(assoc, association.port)
        except AssociationGone:                         # as the next event will say
            association.up = False
            association.aborted = True
            return 0
        self.handler.on_up(self, assoc, peer)
        return 0

    cdef int tell_end(self, uint32_t assoc, Association association, State state) except -1:
        association.over = True
        association.held = None
        try:
            self.handler.on_down(self, assoc, REASONS[<int>state])
        except Exception as error:
            self.failed(error)
        return 0

    cdef int changed(self, uint32_t assoc, State state) except -1:
        """An association that was admitted has come into a state."""
        cdef Association association = self.table.get(assoc)
        if association is None:
            return 0
        try:
            if state == UP:
                association.up = not association.aborted
                if association.over:
                    association.aborted = True
                    self.goodbye(assoc, True)
                elif not association.aborted:
                    self.tell_up(assoc, association)
            elif state == RESTARTED:
                association.partial = None
                if association.over or association.aborted:
                    pass
                elif association.held is not None:
                    self.hold(assoc, association, None, None)
                else:
                    self.tell_restart(assoc)
            elif state == SHUT_BY_PEER:
                if association.up and association.held is not None:
                    association.ending = True
                elif association.up and not association.over:
                    self.tell_end(assoc, association, SHUT)
            else:
                self.end(assoc, association, state)
        except Exception as error:
            self.failed(error)
        return 0

    cdef int end(self, uint32_t assoc, Association association, State state) except -1:
        del self.table[assoc]
        self.released(association)
        if not association.up:
            state = NOT_STARTED
        elif association.aborted:
            state = ABORTED
        if association.ending and not association.aborted or state == SHUT and association.held is not None:
            association.ending = True
            self.late[assoc] = association
        elif not association.over:
            self.tell_end(assoc, association, state)
        if not self.table:
            self.vacant()
        return 0

    def shutdown(self, assoc: int) -> None:
        """See interface.Endpoint.shutdown."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.over or association.ending or association.leaving or association.aborted:
            return
        if not association.up:
            self.abort(assoc)
        elif self.unsent(assoc, association):
            association.leaving = True
            self.wait_to_leave(assoc)
        else:
            self.goodbye(assoc, False)

    def wait_to_leave(self, assoc: int) -> None:
        """A shutdown waits until the peer has taken what it was sent; leave() is due when that takes too long."""

    def leave(self, assoc: int) -> None:
        """Let an association go whose shutdown waits."""
        cdef Association association = self.table.get(assoc)
        if association is not None and association.leaving and not association.over and not association.aborted:
            self.goodbye(assoc, False)

    cdef bint unsent(self, uint32_t assoc, Association association) except -1:
        """Whether the peer may not have all that it was sent, and leave() will be called when it has.

        A stack that is shutting down takes a peer with a closed window for a silent one.
        """
        return False

    def abort(self, assoc: int) -> None:
        """See interface.Endpoint.abort."""
        cdef Association association = self.table.get(assoc)
        if association is not None and not association.aborted:
            association.aborted = True
            self.goodbye(assoc, True)
            return
        association = self.late.get(assoc)
        if association is not None:
            association.aborted = True
            association.paused = False
            self.soon(assoc)

    cdef int give_up(self, uint32_t assoc) except -1:
        """For a stack that cannot stop connecting: the handler hears of it now, and the rest is kept from it."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.over or association.up:
            return 0
        return self.tell_end(assoc, association, NOT_STARTED)

    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1:
        """Tell the stack to end an association; it reports when that is done."""
        return 0

    cdef Association blockable(self, uint32_t assoc):
        """The association if it has just become blocked, else None."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.blocked:
            return None
        association.blocked = True
        return association

    cdef int writable(self, uint32_t assoc) except -1:
        """A blocked association has room again."""
        cdef Association association = self.table.get(assoc)
        if association is None or not association.blocked:
            return 0
        association.blocked = False
        if association.over or association.leaving or association.aborted:
            return 0
        try:
            self.handler.on_writable(self, assoc)
        except Exception as error:
            self.failed(error)
        return 0
