"""The Python interface of one handlespace. records.pxd has its records, storage.pxd the functions that change them."""

from rserpool._fast.base.wheel cimport Wheel
from rserpool._fast.handlespace.records cimport Element, Space


cdef class Handlespace:
    cdef Space space
    cdef readonly Wheel wheel
    cdef readonly list updated
    # PEs among ``updated`` that are new, and for each whether its pool is new too; None without a watch
    cdef public dict added
    cdef public bint record_renewals
    cdef object policy_failure_callback      # space.on_policy_failure points to it

    cdef Element *element(self, bytes handle, object pe_identifier) except? NULL
