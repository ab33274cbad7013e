"""Lists of pool elements."""

from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdlib cimport calloc, free

from rserpool._fast.handlespace.records cimport identifier_of


cdef class Names:
    """Room for ``most`` names."""

    def __cinit__(self, size_t most):
        self.named = <Named *>calloc(most + 1, sizeof(Named))
        if self.named is NULL:
            raise MemoryError

    def __dealloc__(self):
        for i in range(self.count):
            Py_XDECREF(self.named[i].held)
        free(self.named)

    cdef void add(self, object held, uint32_t identifier, unsigned int tag) noexcept:
        Py_INCREF(held)
        self.named[self.count].held = <PyObject *>held
        self.named[self.count].identifier = identifier
        self.named[self.count].tag = tag
        self.count += 1

    cdef void add_element(self, const Element *element) noexcept:
        self.add(<object>element.pool.handle, identifier_of(element), 0)

    cdef list pairs(self):
        return [(<object>self.named[i].held, self.named[i].identifier) for i in range(self.count)]
