"""The fast lane of one association.

A lane serves a message whole or declines it. Declining has no side effect: nothing has changed, and nothing was taken
from the rates. A declined message must go the readable way, through protocol/registrar/asap.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rserpool._fast.base.bucket cimport Bucket
from rserpool._fast.codec.cursor cimport load_u16, load_u32
from rserpool._fast.codec.message_types cimport (
    ASAP_ENDPOINT_KEEP_ALIVE_ACK, ASAP_HANDLE_RESOLUTION, ASAP_REGISTRATION, type_at,
)
from rserpool._fast.codec.tlv cimport T_POOL_HANDLE
from rserpool._fast.codec.walk cimport Parameter
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.handlespace.records cimport Element, Pool, identifier_of
from rserpool._fast.handlespace.storage cimport find_in, find_pool
from rserpool._fast.handlespace.timing cimport restart_life
from rserpool._fast.lane.journal cimport Journal
from rserpool._fast.lane.messages cimport MAX_PARAMETERS, answer_fast, split
from rserpool._fast.lane.prefetch cimport MAX_PREFETCHED, Message, is_large, prefetch_messages
from rserpool._fast.lane.registration cimport AdmissionLimits, Registrant, admit

cdef enum:
    HEADER = 4
    # Short gaps in a row that mark a closed-loop client: 10 requests/s at random times reach this once in 400 messages.
    STREAK = 4
    # The largest number of octets of answers to one read of a stream. A few requests could ask for gigabytes.
    MAX_ANSWERS = 1 << 18


cdef class LaneCounters:
    """Messages that all lanes of a registrar have served since it started, by kind, and those that they declined when
    their transports asked."""


cdef class LaneContext:
    """The part that all lanes of one registrar share. ``unconfirmed`` and ``claims`` are the objects of Ownership, and
    change in place. A ``journal`` logs each message that a transport's lane serves."""

    def __cinit__(
        self,
        Handlespace handlespace not None,
        AdmissionLimits limits not None,
        set unconfirmed not None,
        dict claims not None,
    ) -> None:
        self.handlespace = handlespace
        self.counters = LaneCounters()
        self.limits = limits
        self.unconfirmed = unconfirmed
        self.claims = claims


cdef class Lane:
    """The lane of association ``number``. A registrant without ASAP transport cannot register over it.

    ``renewed`` is called without arguments before the answer goes out, if the message has appended to
    handlespace.updated, or has armed a timer that expires before the time that the wheel has last announced. Each
    served message sets ``used``; the search for idle associations clears it. ``load_meter`` records each served message
    if it is not None. ``declined`` is set when the lane has declined a message for its transport, so that answer() does
    not examine the same message again. The transport must clear it once it has delivered the message or held it back.
    """

    def __cinit__(
        self,
        LaneContext context not None,
        uint64_t number,
        Registrant registrant not None,
        Bucket registrations not None,
        Bucket resolutions not None,
        set subscriptions not None,
    ) -> None:
        self.context = context
        self.space = &context.handlespace.space
        self.number = number
        self.registrant = registrant
        self.registrations = registrations
        self.resolutions = resolutions
        self.subscriptions = subscriptions

    cdef object answer_to(self, const uint8_t *octets, size_t size, uint64_t now):
        """Serve one message. Returns its answer, b"" if it needs none, or None if the lane declines it."""
        cdef Bucket bucket = None
        cdef Parameter parameters[MAX_PARAMETERS]
        cdef int count = split(octets, size, parameters)
        cdef object answer
        cdef bint added = False
        cdef uint8_t kind
        cdef list updated = None
        if count < 1 or parameters[0].type != T_POOL_HANDLE:
            return None
        kind = type_at(octets)
        if kind == ASAP_HANDLE_RESOLUTION:
            if self.subscriptions:
                return None
            bucket = self.resolutions
        elif kind == ASAP_REGISTRATION:
            bucket = self.registrations
            if self.context.handlespace.record_renewals:
                updated = self.context.handlespace.updated
        elif kind != ASAP_ENDPOINT_KEEP_ALIVE_ACK or self.context.claims:
            return None
        if bucket is not None and not bucket.take_one(<int64_t>now):
            return None
        answer = answer_fast(self.space, octets, parameters, count, self.number, now, updated)
        if answer is None and kind == ASAP_REGISTRATION and count == 2 and not self.context.claims:
            answer = admit(
                self.space, self.context.limits, self.registrant, parameters, self.number, now, updated, &added,
            )
        if answer is None:
            if bucket is not None:
                bucket.put_back()
            return None
        self.used = True
        if self.context.unconfirmed and kind != ASAP_HANDLE_RESOLUTION:
            self.confirm(parameters, kind, now)
        if kind == ASAP_HANDLE_RESOLUTION:
            self.context.counters.resolutions += 1
        elif added:
            self.context.counters.registrations += 1
            if self.context.handlespace.added is not None:
                self.record_addition(updated)
        elif kind == ASAP_REGISTRATION:
            self.context.counters.reregistrations += 1
        else:
            self.context.counters.acknowledgements += 1
        return answer

    cdef int record_addition(self, list updated) except -1:
        """Record for watches that the last PE of ``updated`` is new, and whether its pool is new too."""
        cdef tuple name
        if updated:
            name = updated[-1]
            self.context.handlespace.added[name] = self.context.handlespace.pool(name[0]).size == 1
        return 0

    cdef int confirm(self, const Parameter *parameters, uint8_t kind, uint64_t now) except -1:
        """Confirm ownership of the PE that sent the message, if it was taken over: peers must be informed."""
        cdef Pool *pool
        cdef Element *element
        cdef tuple name
        pool = find_pool(self.space, parameters[0].octets + 4, parameters[0].length - 4)
        if pool is NULL:
            return 0
        element = find_in(self.space, pool, load_u32(parameters[1].octets + 4))
        if element is NULL:
            return 0
        name = (<object>pool.handle, identifier_of(element))
        if name in self.context.unconfirmed:
            self.context.unconfirmed.discard(name)
            if kind == ASAP_ENDPOINT_KEEP_ALIVE_ACK:
                restart_life(self.space, element, now)
                self.context.handlespace.updated.append(name)
        return 0

    cdef int record(self, uint64_t now) except -1:
        """Count a message for the load meter; closed-loop if STREAK short gaps in a row precede it."""
        if now - self.last_recorded < self.load_meter.short_gap:
            self.short_gaps += 1
        else:
            self.short_gaps = 0
        self.last_recorded = now
        return self.load_meter.record(now, self.short_gaps >= STREAK)

    cdef object serve_one(self, const uint8_t *octets, size_t size, uint64_t now):
        """Serve one message for a transport: answer it, record the load, log it, and call ``renewed`` if needed."""
        cdef object answer = self.answer_to(octets, size, now)
        self.declined = answer is None
        if answer is not None:
            if self.load_meter is not None:
                self.record(now)
            if self.context.journal is not None:
                self.complete_logged(octets, size, answer, now)
            else:
                self.complete(octets)
        else:
            self.context.counters.declined += 1
        return answer

    cdef int complete(self, const uint8_t *octets) except -1:
        """Call ``renewed`` if needed."""
        if self.renewed is not None:
            if self.space.wheel.early or (type_at(octets) == ASAP_REGISTRATION and self.context.handlespace.updated):
                self.renewed()
        return 0

    cdef int complete_logged(self, const uint8_t *octets, size_t size, bytes answer, uint64_t now) except -1:
        """Call ``renewed`` if needed, between the journal's lines of the request and of the answer."""
        cdef Journal journal = self.context.journal
        cdef uint32_t identifier = <uint32_t>self.space.own.node.key0
        journal.request(octets, size, identifier, now)
        self.complete(octets)
        if answer:
            journal.answer(
                <const uint8_t *>PyBytes_AS_STRING(answer), <size_t>PyBytes_GET_SIZE(answer), identifier, now
            )
        return 0

    def answer(self, bytes data not None, uint64_t now) -> bytes:
        """Serve one message for the readable way. Returns its answer, b"" if it needs none, or None if the lane
        declines it or has just declined it for the transport. If it is served, the caller must do the work of
        ``renewed`` itself. ``now`` is in microseconds."""
        if self.declined:
            self.declined = False
            return None
        return self.answer_to(<const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), now)

    cdef int prefetch(self, const uint8_t *octets, size_t size) noexcept:
        """Prefetch the memory that the next messages will touch; return their number, with an incomplete last one."""
        cdef Message messages[MAX_PREFETCHED]
        cdef int count = 0
        cdef size_t length, at = 0
        while size - at >= HEADER and count < MAX_PREFETCHED:
            length = (<size_t>load_u16(octets + at + 2) + 3) & ~<size_t>3
            messages[count].octets = octets + at
            messages[count].size = min(length, size - at)
            count += 1
            if length < HEADER or size - at < length:
                break
            at += length
        prefetch_messages(self.space, messages, count)
        return count

    def serve(self, bytes data not None, double seconds) -> tuple[bytes, int]:
        """Serve the complete messages at the beginning of a stream's octets: (their answers, octets served).

        Stops before the first message that the lane declines, and once the answers have MAX_ANSWERS octets."""
        cdef size_t served = 0
        cdef bytes answers = self.serve_octets(
            <const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), <uint64_t>(seconds * 1e6), &served
        )
        return answers, served

    cdef bytes serve_octets(self, const uint8_t *octets, size_t size, uint64_t now, size_t *served):
        cdef size_t at = 0, answered = 0, length
        cdef bytes answer, only = b""
        cdef list answers = None
        cdef bint large = is_large(self.space)
        cdef int prefetched = 0
        while size - at >= HEADER and answered < MAX_ANSWERS:
            if large:
                if not prefetched:
                    prefetched = self.prefetch(octets + at, size - at)
                prefetched -= 1
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
