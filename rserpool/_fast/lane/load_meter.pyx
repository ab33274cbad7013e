"""Decides when load is high and mostly open-loop, so that batching wake-ups is worthwhile (registrar/moderation.py)."""

from libc.stdint cimport uint64_t

cdef enum:
    ROUND = 256                      # messages between two decisions
    LONGEST = 51200                  # microseconds that a round may take while load is high: 5 000 messages a second
    # The largest number of closed-loop messages in a round. A single closed-loop client, slowed by rests, exceeds this
    # share even among 120 000 messages a second.
    MAX_CLOSED_LOOP = 8


cdef class LoadMeter:
    """One meter for all lanes. Messages of one association that are less than ``short_gap`` microseconds apart count as
    closed-loop: the client seems to wait for each answer before it asks again.

    While load is ``dense``, a message calls ``on_dense`` and sets ``notified``; no further call follows until the owner
    clears ``notified``."""

    def __cinit__(self, uint64_t short_gap, on_dense not None) -> None:
        self.short_gap = short_gap
        self.on_dense = on_dense

    cdef int record(self, uint64_t now, bint closed_loop) except -1:
        self.count += 1
        if closed_loop:
            self.closed_loop += 1
        if self.count == ROUND:
            self.dense = now - self.round_began <= LONGEST and self.closed_loop <= MAX_CLOSED_LOOP
            self.round_began = now
            self.count = self.closed_loop = 0
        if self.dense and not self.notified:
            self.notified = True
            self.on_dense()
        return 0

    def start_round(self) -> None:
        """Begin a new round, because an association came up and more may follow. Otherwise rests would slow a
        closed-loop client down until the end of the next whole round."""
        self.dense = False
        self.count = self.closed_loop = 0
        self.round_began = 0
