"""Keep-alives of pool elements (RFC 5352 2.2.7): their octets, and the timer for their acknowledgement."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rserpool._fast.base.wheel cimport arm
from rserpool._fast.codec.cursor cimport Pen, padded, put_u8, put_u16, put_u32, writing
from rserpool._fast.codec.message_types cimport ASAP_ENDPOINT_KEEP_ALIVE
from rserpool._fast.codec.tlv cimport T_PE_IDENTIFIER, T_POOL_HANDLE
from rserpool._fast.handlespace.answers cimport put_parameter
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.handlespace.records cimport KEEP_ALIVE_TAG, PROBED, Element, Space, identifier_of


cdef bytes keep_alive(const Space *space, const Element *element, uint8_t flags):
    """Encode ASAP_ENDPOINT_KEEP_ALIVE, with a PE identifier as rsplib sends it."""
    cdef size_t length = 20 + padded(element.pool.name_length)
    cdef bytes message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    cdef Pen pen = writing(<uint8_t *>PyBytes_AS_STRING(message), length)
    put_u8(&pen, ASAP_ENDPOINT_KEEP_ALIVE)
    put_u8(&pen, flags)
    put_u16(&pen, <uint16_t>length)
    put_u32(&pen, <uint32_t>space.own.node.key0)
    put_parameter(&pen, T_POOL_HANDLE, element.pool.name, element.pool.name_length)
    put_u16(&pen, T_PE_IDENTIFIER)
    put_u16(&pen, 8)
    put_u32(&pen, identifier_of(element))
    return message


def probe(
    Handlespace handlespace not None, bytes handle not None, identifier: object, uint64_t deadline, bint again = False
) -> tuple:
    """Encode a keep-alive for a PE of ours, and give it until ``deadline`` to answer: (its association, the message).

    None if there is no such PE of ours, if it has no association yet, or if it has not answered the previous
    keep-alive. With ``again``, an unanswered keep-alive is sent again, and the deadline stays. Takes 2 us."""
    cdef Space *space = &handlespace.space
    cdef Element *element = handlespace.element(handle, identifier)
    if element is NULL or element.home != space.own or not element.connection:
        return None
    if not element.flags & PROBED:
        element.flags |= PROBED
        arm(space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
    elif not again:
        return None
    return element.connection, keep_alive(space, element, 0)
