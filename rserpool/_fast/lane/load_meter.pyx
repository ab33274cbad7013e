"""Whether messages come so densely, and so few of them from whoever waits for an answer before it asks again, that all
of them may wait a little; see registrar/moderation.py."""

from libc.stdint cimport uint64_t

cdef enum:
    ROUND = 256                      # messages after which it is decided anew
    LONGEST = 51200                  # microseconds that a round takes where messages are dense: 5 000 a second
    MOST_HASTY = 8                   # of them: one client in a closed loop, which rests slow down, is more of 120 000/s


cdef class Pulse:
    """What all lanes of a registrar count together. ``near``: how many microseconds apart the messages of an
    association are, at most, that is in haste. ``on_dense`` is called at a message while they are dense, and not again
    while ``told``."""

    def __cinit__(self, uint64_t near, on_dense not None) -> None:
        self.near = near
        self.on_dense = on_dense

    cdef int beat(self, uint64_t now, bint hasty) except -1:
        self.count += 1
        if hasty:
            self.hasty += 1
        if self.count == ROUND:
            self.dense = now - self.began <= LONGEST and self.hasty <= MOST_HASTY
            self.began = now
            self.count = self.hasty = 0
        if self.dense and not self.told:
            self.told = True
            self.on_dense()
        return 0

    def newcomer(self) -> None:
        """An association came up. Others may be about to: nobody waits until the end of the next whole round."""
        self.dense = False
        self.count = self.hasty = 0
        self.began = 0
