"""Lists of pool elements. They are gathered in C first, because creating Python objects may run foreign code."""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from rserpool._fast.handlespace.records cimport Element


cdef struct Named:
    # A pool element or, with ENTRY_TAG, an entry of a wheel.
    PyObject *held         # pool handle or entry, owned
    uint32_t identifier
    unsigned int tag


cdef class Names:
    cdef Named *named
    cdef size_t count

    cdef void add(self, object held, uint32_t identifier, unsigned int tag) noexcept
    cdef void add_element(self, const Element *element) noexcept
    cdef list pairs(self)
