"""The Python face of one handlespace; the records behind it are in records.pxd, what changes them in space.pxd."""

from rserpool._fast.handlespace.records cimport Element, Space
from rserpool._fast.base.wheel cimport Wheel


cdef class Handlespace:
    cdef Space space
    cdef readonly Wheel wheel
    cdef readonly list updated
    cdef public bint heeded    # what lanes renew goes to ``updated``: there is somebody to tell
    cdef object complaint      # keeps what space.complain points to

    cdef Element *element(self, bytes handle, object pe_identifier) except? NULL
