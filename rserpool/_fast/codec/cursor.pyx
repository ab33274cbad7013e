"""The exceptions of the checked reader and writer; see cursor.pxd."""

from rserpool.errors import Cause, LocalProtocolError, RemoteProtocolError


cdef int ran_out() except -1:
    raise RemoteProtocolError("the octets end inside a field", cause=Cause.INVALID_VALUES)


cdef int no_room() except -1:
    raise LocalProtocolError("the message does not fit into its buffer")
