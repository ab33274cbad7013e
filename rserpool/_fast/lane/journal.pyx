"""Action log lines of the messages that fast lanes serve, formatted in C into a bounded buffer: 0.2 us a line.

The columns are those of registrar/instruments/action_log.py, which formats the messages of the readable way.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from rserpool._fast.codec.cursor cimport Cursor, load_u32, reading
from rserpool._fast.codec.message_types cimport (
    ASAP_HANDLE_RESOLUTION, ASAP_REGISTRATION, ASAP_REGISTRATION_RESPONSE, flags_at, type_at,
)
from rserpool._fast.codec.tlv cimport T_PE_IDENTIFIER, T_POOL_ELEMENT
from rserpool._fast.codec.walk cimport Parameter, next_parameter

cdef enum:
    HEADER = 4
    LINE = 512                 # octets of a line without the pool handle, at most
    DEFAULT_SIZE = 1 << 16     # octets: buffer, text and file buffer together stay in the second-level cache


cdef const char *HEX = b"0123456789abcdef"


cdef inline char *put_text(char *at, const char *text, size_t length) noexcept nogil:
    memcpy(at, text, length)
    return at + length


cdef inline char *put_decimal(char *at, uint64_t value, int least) noexcept nogil:
    """Write a decimal number with at least that many digits."""
    cdef char digits[20]
    cdef int count = 0
    while value or count < least:
        digits[count] = <char>(48 + value % 10)
        value //= 10
        count += 1
    while count:
        count -= 1
        at[0] = digits[count]
        at += 1
    return at


cdef inline char *put_hex(char *at, uint32_t value) noexcept nogil:
    """Write a hexadecimal number without leading zeros, after 0x."""
    cdef int shift = 28
    at = put_text(at, b"0x", 2)
    while shift and not value >> shift:
        shift -= 4
    while shift >= 0:
        at[0] = HEX[value >> shift & 15]
        at += 1
        shift -= 4
    return at


cdef inline char *put_seconds(char *at, int64_t microseconds) noexcept nogil:
    cdef uint64_t size = <uint64_t>microseconds
    if microseconds < 0:
        size = 0 - size
        at = put_text(at, b"-", 1)
    at = put_decimal(at, size // 1000000, 1)
    at = put_text(at, b".", 1)
    return put_decimal(at, size % 1000000, 6)


cdef char *put_handle(char *at, const uint8_t *octets, size_t length) noexcept nogil:
    """Write a pool handle as one word of printable ASCII in quotation marks, other octets as \\xHH."""
    cdef size_t i
    at = put_text(at, b'"', 1)
    for i in range(length):
        if 0x20 <= octets[i] < 0x7F and octets[i] != 0x22 and octets[i] != 0x5C:
            at[0] = <char>octets[i]
            at += 1
        else:
            at = put_text(at, b"\\x", 2)
            at[0] = HEX[octets[i] >> 4]
            at[1] = HEX[octets[i] & 15]
            at += 2
    return put_text(at, b'"', 1)


cdef char *put_end(char *at, const Parameter *handle, uint32_t element, uint32_t sender) noexcept nogil:
    """Write the columns from the pool handle on; receiver, target and error are 0."""
    at = put_text(at, b"   ", 3)
    at = put_handle(at, handle.octets + 4, handle.length - 4)
    at = put_text(at, b" ", 1)
    at = put_hex(at, element)
    at = put_text(at, b"   ", 3)
    at = put_hex(at, sender)
    return put_text(at, b" 0x0 0x0   0\n", 13)


cdef class Journal:
    """The journal of one registrar: set it on its LaneContext.

    ``lines`` is the number of the last line in the file; set it after writing other lines there. ``origin`` is the
    lanes' time at which the log's relative time begins, ``wall_offset`` the difference of wall clock and lanes' time,
    in microseconds. ``outstanding`` is the action log's: the relative time in seconds of each keep-alive sent.
    ``on_full`` is called when there is no room for a line, and should take() the lines. Without room, lines are left
    out.
    """

    def __cinit__(
        self, *, int64_t origin, dict outstanding not None, on_full not None, size_t size=DEFAULT_SIZE,
    ) -> None:
        self.origin = origin
        self.outstanding = outstanding
        self.on_full = on_full
        self.size = size
        self.room = <char *>malloc(size)
        if self.room is NULL:
            raise MemoryError

    def __dealloc__(self) -> None:
        free(self.room)

    def take(self) -> tuple[str, int]:
        """The lines since the last call, and the number of lines that were left out."""
        cdef str text = PyUnicode_DecodeASCII(self.room, <Py_ssize_t>self.used, NULL)
        cdef uint64_t left_out = self.left_out
        self.used = 0
        self.left_out = 0
        return text, left_out

    cdef char *begin(self, size_t handle_length) except? NULL:
        """Room for a line; NULL if it must be left out."""
        cdef size_t need = LINE + 4 * handle_length
        if self.size - self.used < need:
            self.on_full()
        if self.size - self.used < need:
            self.left_out += 1
            return NULL
        return self.room + self.used

    cdef char *head(self, char *at, uint64_t now) noexcept:
        """Write the columns of number and times."""
        self.lines += 1
        at = put_decimal(at, self.lines, 6)
        at = put_text(at, b"   ", 3)
        at = put_seconds(at, <int64_t>now + self.wall_offset)
        at = put_text(at, b" ", 1)
        return put_seconds(at, <int64_t>now - self.origin)

    cdef int request(self, const uint8_t *octets, size_t size, uint32_t identifier, uint64_t now) except -1:
        """Log a message that a lane has served."""
        cdef Cursor c = reading(octets + HEADER, size - HEADER)
        cdef Parameter handle
        cdef Parameter second
        cdef uint32_t number = 0
        cdef int64_t waited = 0
        cdef char *at
        if not next_parameter(&c, &handle):
            return 0
        if next_parameter(&c, &second) and second.length >= 8:
            number = load_u32(second.octets + 4)
        at = self.begin(handle.length)
        if at is NULL:
            return 0
        if type_at(octets) != ASAP_REGISTRATION and type_at(octets) != ASAP_HANDLE_RESOLUTION and self.outstanding:
            waited = self.time_waited(&handle, number, now)
        at = self.head(at, now)
        if type_at(octets) == ASAP_REGISTRATION:
            at = put_text(at, b'   "Recv" "ASAP" "Registration" "Requested"   ', 46)
        elif type_at(octets) == ASAP_HANDLE_RESOLUTION:
            at = put_text(at, b'   "Recv" "ASAP" "HandleResolution" "Requested"   ', 50)
        else:
            at = put_text(at, b'   "Recv" "ASAP" "EndpointKeepAliveAck" "InTime"   ', 51)
        at = put_hex(at, flags_at(octets))
        at = put_text(at, b" ", 1)
        at = put_decimal(at, number if type_at(octets) == ASAP_HANDLE_RESOLUTION else 0, 1)
        at = put_text(at, b" ", 1)
        at = put_seconds(at, waited)
        if type_at(octets) == ASAP_HANDLE_RESOLUTION:
            number = 0
        at = put_end(at, &handle, number, identifier if type_at(octets) == ASAP_REGISTRATION else 0)
        self.used = <size_t>(at - self.room)
        return 0

    cdef int64_t time_waited(self, const Parameter *handle, uint32_t element, uint64_t now) except? -1:
        """Microseconds since the keep-alive that the element acknowledges; 0 if none is outstanding."""
        cdef bytes name = PyBytes_FromStringAndSize(<const char *>handle.octets + 4, <Py_ssize_t>handle.length - 4)
        sent = self.outstanding.pop((name, element), None)
        if sent is None:
            return 0
        return <int64_t>now - self.origin - <int64_t>(<double>sent * 1e6 + 0.5)

    cdef int answer(self, const uint8_t *octets, size_t size, uint32_t identifier, uint64_t now) except -1:
        """Log a lane's answer."""
        cdef Cursor c = reading(octets + HEADER, size - HEADER)
        cdef Parameter handle
        cdef Parameter p
        cdef uint32_t count = 0, element = 0
        cdef char *at
        if not next_parameter(&c, &handle):
            return 0
        while next_parameter(&c, &p):
            if p.type == T_POOL_ELEMENT:
                count += 1
            if element == 0 and (p.type == T_POOL_ELEMENT or p.type == T_PE_IDENTIFIER):
                element = load_u32(p.octets + 4)
        at = self.begin(handle.length)
        if at is NULL:
            return 0
        at = self.head(at, now)
        if type_at(octets) == ASAP_REGISTRATION_RESPONSE:
            at = put_text(at, b'   "Send" "ASAP" "RegistrationResponse" "Requested"   ', 54)
        else:
            at = put_text(at, b'   "Send" "ASAP" "HandleResolutionResponse" "Requested"   ', 58)
        at = put_hex(at, flags_at(octets))
        at = put_text(at, b" ", 1)
        at = put_decimal(at, count, 1)
        at = put_text(at, b" 0.000000", 9)
        at = put_end(at, &handle, element, identifier if type_at(octets) == ASAP_REGISTRATION_RESPONSE else 0)
        self.used = <size_t>(at - self.room)
        return 0
