"""One association's fast lane (see lane.pxd), with its rates and with what else keeps a message off it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rserpool._fast.lane.registration cimport Guest, Terms, admit
from rserpool._fast.lane.prefetch cimport MOST_AHEAD, Message, is_large, look_ahead
from rserpool._fast.base.bucket cimport Bucket
from rserpool._fast.codec.cursor cimport load_u16, load_u32
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.lane.messages cimport MOST_PARAMETERS, Parameter, answer_fast, rearm_life, split
from rserpool._fast.handlespace.records cimport Element, Pool, Space, identifier_of
from rserpool._fast.handlespace.storage cimport find_in, find_pool

cdef enum:
    REGISTRATION = 0x01
    HANDLE_RESOLUTION = 0x05
    ENDPOINT_KEEP_ALIVE_ACK = 0x08
    HEADER = 4
    STREAK = 4                 # who asks ten times a second at random is in haste at one message of 400
    ENOUGH = 1 << 18           # octets of answers at a time: a few requests could ask for gigabytes of them


cdef class Tally:
    """What all lanes of a registrar have served and nobody has asked for yet."""

    def take(self) -> tuple[int, int, int, int]:
        """Resolutions, acknowledgements, re-registrations and registrations since it was called last."""
        cdef tuple taken = (self.resolutions, self.acknowledgements, self.renewals, self.registrations)
        self.resolutions = self.acknowledgements = self.renewals = self.registrations = 0
        return taken


cdef class Lane:
    """What it does not serve is unchanged, and has taken nothing from the rates: it must go the readable way."""

    def __cinit__(
        self,
        Handlespace handlespace not None,
        Tally tally not None,
        uint64_t number,
        Terms terms not None,
        Guest guest not None,
        Bucket registrations not None,
        Bucket resolutions not None,
        set subscriptions not None,
        set unconfirmed not None,
        dict claims not None,
    ) -> None:
        self.handlespace = handlespace
        self.tally = tally
        self.number = number
        self.terms = terms
        self.guest = guest
        self.registrations = registrations
        self.resolutions = resolutions
        self.subscriptions = subscriptions
        self.unconfirmed = unconfirmed
        self.claims = claims

    cdef object answer_to(self, const uint8_t *octets, size_t size, uint64_t now):
        """The answer's octets, b"" where none is due, None for the readable way."""
        cdef Bucket bucket = None
        cdef object answer
        cdef bint added = False
        cdef uint8_t kind
        cdef list updated = None
        if size < HEADER:
            return None
        kind = octets[0]
        if kind == HANDLE_RESOLUTION:
            if self.subscriptions:
                return None
            bucket = self.resolutions
        elif kind == REGISTRATION:
            bucket = self.registrations
            if self.handlespace.heeded:
                updated = self.handlespace.updated
        elif kind != ENDPOINT_KEEP_ALIVE_ACK or self.claims:
            return None
        if bucket is not None and not bucket.take_one(<int64_t>now):
            return None
        answer = answer_fast(&self.handlespace.space, octets, size, self.number, now, updated)
        if answer is None and kind == REGISTRATION and not self.claims:
            answer = admit(
                &self.handlespace.space, self.terms, self.guest, octets, size, self.number, now, updated, &added,
            )
        if answer is None:
            if bucket is not None:
                bucket.put_back()
            return None
        self.used = True
        if self.unconfirmed and kind != HANDLE_RESOLUTION:
            self.confirm(octets, size, now)
        if kind == HANDLE_RESOLUTION:
            self.tally.resolutions += 1
        elif added:
            self.tally.registrations += 1
        elif kind == REGISTRATION:
            self.tally.renewals += 1
        else:
            self.tally.acknowledgements += 1
        return answer

    cdef int confirm(self, const uint8_t *octets, size_t size, uint64_t now) except -1:
        """A PE has spoken: if it was taken over, that it is ours is certain now, and to be told."""
        cdef Space *space = &self.handlespace.space
        cdef Parameter parameters[MOST_PARAMETERS]
        cdef Pool *pool
        cdef Element *element
        cdef tuple name
        split(octets, size, parameters)
        pool = find_pool(space, parameters[0].octets + 4, parameters[0].length - 4)
        if pool is NULL:
            return 0
        element = find_in(space, pool, load_u32(parameters[1].octets + 4))
        if element is NULL:
            return 0
        name = (<object>pool.handle, identifier_of(element))
        if name in self.unconfirmed:
            self.unconfirmed.discard(name)
            if octets[0] == ENDPOINT_KEEP_ALIVE_ACK:
                rearm_life(space, element, now)
                self.handlespace.updated.append(name)
        return 0

    cdef int beat(self, uint64_t now) except -1:
        """Tell of a message. It comes in haste where STREAK before it did not keep their distance either."""
        if now - self.last < self.pulse.near:
            self.streak += 1
        else:
            self.streak = 0
        self.last = now
        return self.pulse.beat(now, self.streak >= STREAK)

    cdef object serve_one(self, const uint8_t *octets, size_t size, uint64_t now):
        """The same, with what it leads to done."""
        cdef object answer = self.answer_to(octets, size, now)
        if answer is not None and self.pulse is not None:
            self.beat(now)
        if answer is not None and self.renewed is not None:
            if self.handlespace.space.wheel.early or (octets[0] == REGISTRATION and self.handlespace.updated):
                self.renewed()
        return answer

    def answer(self, bytes data not None, uint64_t now) -> bytes:
        """The answer to one message; b"" where none is due, None for the readable way. ``now`` in microseconds."""
        return self.answer_to(<const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), now)

    cdef int look(self, const uint8_t *octets, size_t size) noexcept:
        """Look ahead to what the next messages will touch; how many they are, an incomplete one among them."""
        cdef Message messages[MOST_AHEAD]
        cdef int count = 0
        cdef size_t length, at = 0
        while size - at >= HEADER and count < MOST_AHEAD:
            length = (<size_t>load_u16(octets + at + 2) + 3) & ~<size_t>3
            messages[count].octets = octets + at
            messages[count].size = min(length, size - at)
            count += 1
            if length < HEADER or size - at < length:
                break
            at += length
        look_ahead(&self.handlespace.space, messages, count)
        return count

    def serve(self, bytes data not None, double seconds) -> tuple[bytes, int]:
        """The answers to the complete messages at the beginning of a stream's octets, up to the first that must go the
        readable way or comes after ENOUGH answers; and how many octets they were."""
        cdef size_t served = 0
        cdef bytes answers = self.serve_octets(
            <const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), <uint64_t>(seconds * 1e6), &served
        )
        return answers, served

    cdef bytes serve_octets(self, const uint8_t *octets, size_t size, uint64_t now, size_t *served):
        cdef size_t at = 0, answered = 0, length
        cdef bytes answer, only = b""
        cdef list answers = None
        cdef bint large = is_large(&self.handlespace.space)
        cdef int seen = 0
        while size - at >= HEADER and answered < ENOUGH:
            if large:
                if not seen:
                    seen = self.look(octets + at, size - at)
                seen -= 1
            length = (<size_t>load_u16(octets + at + 2) + 3) & ~<size_t>3
            if length < HEADER or size - at < length:
                break
            answer = self.serve_one(octets + at, length, now)
            if answer is None:
                break
            at += length
            answered += <size_t>PyBytes_GET_SIZE(answer)
            if answers is not None:
                answers.append(answer)
            elif only:
                answers = [only, answer]
            else:
                only = answer
        served[0] = at
        return only if answers is None else b"".join(answers)
