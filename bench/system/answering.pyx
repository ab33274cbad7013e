# cython: language_level=3
"""Pool elements that answer keep-alives, compiled so that they use little processor time.

In the handover benchmark all elements share one processor with the user whose latencies are measured.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from rserpool._fast.lane.lane cimport Lane

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import LaneContext
from rserpool._fast.lane.registration import AdmissionLimits, Registrant

cdef enum:
    ENDPOINT_KEEP_ALIVE = 0x07
    ENDPOINT_KEEP_ALIVE_ACK = 0x08
    PARAMETERS = 8                    # offset of pool handle and PE identifier, which the acknowledgement repeats


cdef class Answering(Lane):
    """A lane that collects acknowledgements of keep-alives until take() is called. It calls ``begun`` with itself when
    it has the first one."""

    cdef list answers
    cdef object begun

    cdef object serve_one(self, const uint8_t *octets, size_t size, uint64_t now):
        cdef bytes answer
        cdef uint8_t *at
        cdef size_t length
        if size < PARAMETERS or octets[0] != ENDPOINT_KEEP_ALIVE:
            return None
        length = size - PARAMETERS + 4
        answer = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
        at = <uint8_t *>PyBytes_AS_STRING(answer)
        at[0] = ENDPOINT_KEEP_ALIVE_ACK
        at[1] = 0
        at[2] = <uint8_t>(length >> 8)
        at[3] = <uint8_t>length
        memcpy(at + 4, octets + PARAMETERS, size - PARAMETERS)
        if not self.answers:
            self.begun(self)
        self.answers.append(answer)
        return b""

    def take(self) -> list[bytes]:
        """Return the answers since the last call."""
        cdef list answers = self.answers
        self.answers = []
        return answers


def answering(begun) -> Answering:
    """Create the lane of an association. It calls ``begun`` with itself when it has the first answer."""
    limits = AdmissionLimits(
        handle_octets=1, pools=1, elements_per_pool=1, elements_per_association=1, addresses=1, shortest_life=1
    )
    context = LaneContext(Handlespace(1, seed=1, wheel=Wheel(0)), limits, set(), {})
    made = Answering(context, 1, Registrant(b"", b""), Bucket(1, 1, 0), Bucket(1, 1, 0), set())
    (<Answering>made).answers = []
    (<Answering>made).begun = begun
    return made
