"""Short-lived Python views of pools and pool elements."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from rserpool._fast.base.args cimport as_u32, as_u64
from rserpool._fast.base.wheel cimport Alarm
from rserpool._fast.codec.cursor cimport load_u16, load_u32, padded
from rserpool._fast.handlespace.rbtree cimport above, first
from rserpool._fast.handlespace.records cimport MARKED, PROBED, Run, identifier_of, octets_of
from rserpool._fast.codec.canonical cimport LIFE_OFFSET, TRANSPORT_OFFSET
from rserpool._fast.handlespace.storage cimport find_pool, move_home, obtain_home, set_connection

from rserpool.errors import LocalProtocolError


cdef PoolElementView view_of(object owner, Space *space, Element *element):
    cdef PoolElementView view = PoolElementView.__new__(PoolElementView)
    view.owner = owner
    view.space = space
    view.record = element
    view.registration = element.node.key1
    return view


cdef PoolView pool_view_of(object owner, Space *space, const Pool *pool):
    cdef PoolView view = PoolView.__new__(PoolView)
    view.owner = owner
    view.space = space
    view.handle = <bytes>pool.handle
    view.serial = pool.serial
    return view


cdef bytes parameter_at(const uint8_t *octets):
    """One parameter with its padding."""
    return PyBytes_FromStringAndSize(<const char *>octets, <Py_ssize_t>padded(load_u16(octets + 2)))


cdef object deadline_of(const Alarm *timer):
    return timer.deadline if timer.link is not NULL else None


cdef object set_flag(Element *element, uint8_t flag, bint on):
    if on:
        element.flags |= flag
    else:
        element.flags &= <uint8_t>~flag


@cython.no_gc_clear
cdef class PoolView:
    """A pool. LocalProtocolError once the pool is gone. Iterates over its PEs by identifier."""

    cdef Pool *pool(self) except NULL:
        cdef Pool *pool = NULL
        if self.space is not NULL:
            pool = find_pool(
                self.space, <const uint8_t *>PyBytes_AS_STRING(self.handle), <size_t>PyBytes_GET_SIZE(self.handle),
            )
        if pool is NULL or pool.serial != self.serial:
            raise LocalProtocolError("the pool is gone")
        return pool

    @property
    def policy_type(self) -> int:
        """The policy type of RFC 5356 7.1."""
        return self.pool().policy_type

    @property
    def transport_type(self) -> int:
        """The parameter type of the PEs' user transports (RFC 5354 3)."""
        return self.pool().transport_type

    @property
    def transport_use(self) -> int:
        """The Transport Use of the PEs' user transports if it is SCTP (RFC 5354 3.4), else 0."""
        return self.pool().transport_use

    @property
    def size(self) -> int:
        """The number of PEs, at least 1."""
        return self.pool().size

    @property
    def policy_parameter(self) -> bytes:
        """The whole policy parameter of the PE of the lowest identifier, padded."""
        cdef Run *run = (<Element *>first(&self.pool().elements)).run
        return parameter_at(octets_of(run) + run.policy_at)

    @property
    def transport_parameter(self) -> bytes:
        """The whole user transport parameter of the PE of the lowest identifier, padded."""
        return parameter_at(octets_of((<Element *>first(&self.pool().elements)).run) + TRANSPORT_OFFSET)

    def __iter__(self):
        """Iterate over all PEs by identifier, see elements()."""
        return self.elements()

    def elements(self, object after = None):
        """Iterate over the PEs by identifier: all, or those with a greater one than ``after``. The pool may change
        between two steps; LocalProtocolError if it is gone."""
        cdef Element *element
        if after is None:
            element = <Element *>first(&self.pool().elements)
        else:
            element = <Element *>above(&self.pool().elements, as_u32(after, "after"), 0xFFFFFFFFFFFFFFFFu)
        cdef uint32_t identifier
        while element is not NULL:
            identifier = identifier_of(element)
            yield view_of(self.owner, self.space, element)
            element = <Element *>above(&self.pool().elements, identifier, 0xFFFFFFFFFFFFFFFFu)


@cython.no_gc_clear
cdef class PoolElementView:
    """A pool element. LocalProtocolError once it is no longer registered."""

    cdef Element *element(self) except NULL:
        if self.record is NULL or self.record.node.key1 != self.registration:
            raise LocalProtocolError("the pool element is gone")
        return self.record

    @property
    def pool_handle(self) -> bytes:
        return <bytes>self.element().pool.handle

    @property
    def identifier(self) -> int:
        return identifier_of(self.element())

    @property
    def home_identifier(self) -> int:
        """The identifier of its home registrar."""
        return <uint32_t>self.element().home.node.key0

    @property
    def registration_life(self) -> int:
        """The signed value of the parameter, in the unit of the handlespace; -1 for unlimited (RFC 5354 3.10)."""
        return <int32_t>load_u32(octets_of(self.element().run) + LIFE_OFFSET)

    @property
    def connection(self) -> int:
        """The association of the PE, 0 for none."""
        return self.element().connection

    @property
    def user_transport(self) -> bytes:
        """The whole user transport parameter, padded."""
        return parameter_at(octets_of(self.element().run) + TRANSPORT_OFFSET)

    @property
    def policy_parameter(self) -> bytes:
        """The whole policy parameter, padded."""
        cdef Run *run = self.element().run
        return parameter_at(octets_of(run) + run.policy_at)

    @property
    def asap_transport(self) -> object:
        """The whole ASAP transport parameter, padded; None if there is none."""
        cdef Run *run = self.element().run
        if run.length == run.asap_length:
            return None
        return parameter_at(octets_of(run) + padded(run.asap_length))

    @property
    def parameter(self) -> bytes:
        """The whole Pool Element parameter in ENRP form, padded."""
        return parameter_at(octets_of(self.element().run))

    @property
    def bad_reports(self) -> int:
        """Unreachability reports since the last registration; 65535 stands for more."""
        return self.element().bad_reports

    @bad_reports.setter
    def bad_reports(self, count: object) -> None:
        self.element().bad_reports = <uint16_t>min(as_u32(count, "bad_reports"), <uint32_t>0xFFFF)

    @property
    def marked(self) -> bool:
        """True if its home's handle table must confirm it (RFC 5353 3.6.3)."""
        return (self.element().flags & MARKED) != 0

    @marked.setter
    def marked(self, on: bool) -> None:
        set_flag(self.element(), MARKED, on)

    @property
    def probed(self) -> bool:
        """True if a keep-alive was sent and not acknowledged yet."""
        return (self.element().flags & PROBED) != 0

    @probed.setter
    def probed(self, on: bool) -> None:
        set_flag(self.element(), PROBED, on)

    @property
    def keep_alive_deadline(self) -> object:
        """The time at which the next keep-alive is sent or the last one must be acknowledged; None if neither."""
        return deadline_of(&self.element().keep_alive)

    @property
    def life_deadline(self) -> object:
        """The time at which the registration expires, or None."""
        return deadline_of(&self.element().life)

    def set_home(self, home: object) -> None:
        """Give the PE to another registrar. Updates both checksums and the encoded parameter."""
        cdef uint32_t identifier = as_u32(home, "home")
        cdef Element *element = self.element()
        move_home(self.space, element, obtain_home(self.space, identifier))

    def set_connection(self, connection: object) -> None:
        """The association over which the PE is reached, 0 for none."""
        cdef uint64_t association = as_u64(connection, "connection")
        set_connection(self.space, self.element(), association)
