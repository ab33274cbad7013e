"""The associations of one endpoint: their states, the reassembly of their messages, the calls of the handler."""

import errno as codes

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t

from rserpool import association as shared
from rserpool.association import AssociationGone, Down
from rserpool.errors import LocalProtocolError

cdef size_t LARGEST = shared.MAX_MESSAGE
cdef dict REASONS = {
    <int>SHUT: Down.SHUTDOWN, <int>LOST: Down.LOST, <int>ABORTED: Down.ABORTED, <int>NOT_STARTED: Down.CANT_START,
}


cdef class Association:
    """One association, from connect() or the peer's arrival until the stack is done with it."""


cdef class Associations:
    """A subclass owes ``handler`` and the hooks below; the back end calls arrived() and changed()."""

    def __cinit__(self, *args, **kwargs) -> None:
        self.table = {}

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

    def occupied(self) -> None:
        """The count has left zero."""

    def vacant(self) -> None:
        """The count has reached zero."""

    def failed(self, error: Exception) -> None:
        """The handler raised."""
        raise error

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
        if association is None or association.over or association.aborted:
            raise AssociationGone(f"association {assoc} is gone")
        return association

    cdef object existing(self, object assoc):
        """The association that a connect() found; OSError while one with that peer is still ending."""
        cdef Association association = self.table[assoc]
        if association.over or association.aborted:
            raise OSError(codes.EALREADY, "the last association with that peer is still ending")
        return assoc

    cdef bytes checked(self, bytes data):
        if not 0 < <size_t>len(data) <= LARGEST:
            raise LocalProtocolError(f"a message has 1 to {LARGEST} octets, not {len(data)}")
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
        if held + length > LARGEST:
            association.partial = None
            self.abort(assoc)
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
        try:
            self.handler.on_message(self, assoc, message, ppid)
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
                    self.handler.on_up(self, assoc, self.peer_addresses(assoc), association.port)
            elif state == RESTARTED:
                association.partial = None
                if not association.over and not association.aborted:
                    self.handler.on_restart(self, assoc)
            elif state == SHUT_BY_PEER:
                if association.up and not association.over:
                    association.over = True
                    self.handler.on_down(self, assoc, Down.SHUTDOWN)
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
        try:
            if not association.over:
                self.handler.on_down(self, assoc, REASONS[<int>state])
        finally:
            if not self.table:
                self.vacant()
        return 0

    def shutdown(self, assoc: int) -> None:
        """See interface.Endpoint.shutdown."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.over or association.aborted:
            return
        if association.up:
            self.goodbye(assoc, False)
        else:
            self.abort(assoc)

    def abort(self, assoc: int) -> None:
        """See interface.Endpoint.abort."""
        cdef Association association = self.table.get(assoc)
        if association is not None and not association.aborted:
            association.aborted = True
            self.goodbye(assoc, True)

    cdef int give_up(self, uint32_t assoc) except -1:
        """For a stack that cannot stop connecting: the handler hears of it now, and the rest is kept from it."""
        cdef Association association = self.table.get(assoc)
        if association is None or association.over or association.up:
            return 0
        association.over = True
        try:
            self.handler.on_down(self, assoc, Down.CANT_START)
        except Exception as error:
            self.failed(error)
        return 0

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
        if association.over or association.aborted:
            return 0
        try:
            self.handler.on_writable(self, assoc)
        except Exception as error:
            self.failed(error)
        return 0
