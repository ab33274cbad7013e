"""The fields of every record, in the order in which the decoder sets them.

``rserpool.messages`` passes its record classes to ``install`` when it is imported. So the core can create records
without importing a higher layer.
"""

from cpython.object cimport PyObject, PyTypeObject, Py_TYPE

import dataclasses

from rserpool.errors import LocalProtocolError

MESSAGE_TAIL = ("unrecognized",)
ENRP_HEAD = ("sender_identifier", "receiver_identifier")

# In the order of Kind.
NAMES = (
    ("DCCPTransport", ("port", "service_code", "address", "reserved")),
    ("SCTPTransport", ("port", "transport_use", "addresses")),
    ("TCPTransport", ("port", "address", "reserved")),
    ("UDPTransport", ("port", "address", "reserved")),
    ("UDPLiteTransport", ("port", "address", "reserved")),
    ("OpaqueTransport", ("value",)),
    ("Policy", ("policy_type", "values", "data")),
    (
        "PoolElement",
        ("identifier", "home_identifier", "registration_life", "user_transport", "policy", "asap_transport"),
    ),
    ("ServerInformation", ("server_identifier", "transport")),
    ("ErrorCause", ("code", "information")),
    ("PoolEntry", ("pool_handle", "pool_elements")),
    ("Registration", ("pool_handle", "pool_element", *MESSAGE_TAIL)),
    ("Deregistration", ("pool_handle", "pe_identifier", *MESSAGE_TAIL)),
    ("RegistrationResponse", ("reject", "pool_handle", "pe_identifier", "operation_error", *MESSAGE_TAIL)),
    ("DeregistrationResponse", ("pool_handle", "pe_identifier", "operation_error", *MESSAGE_TAIL)),
    ("HandleResolution", ("subscribe", "pool_handle", "items", *MESSAGE_TAIL)),
    (
        "HandleResolutionResponse",
        ("accept_subscription", "pool_handle", "policy", "pool_elements", "operation_error", *MESSAGE_TAIL),
    ),
    ("EndpointKeepAlive", ("home", "server_identifier", "pool_handle", "pe_identifier", *MESSAGE_TAIL)),
    ("EndpointKeepAliveAck", ("pool_handle", "pe_identifier", *MESSAGE_TAIL)),
    ("EndpointUnreachable", ("pool_handle", "pe_identifier", *MESSAGE_TAIL)),
    ("ServerAnnounce", ("server_identifier", "transports", *MESSAGE_TAIL)),
    ("Cookie", ("cookie", *MESSAGE_TAIL)),
    ("CookieEcho", ("cookie", *MESSAGE_TAIL)),
    ("BusinessCard", ("pool_handle", "policy", "pool_elements", *MESSAGE_TAIL)),
    ("AsapError", ("operation_error", *MESSAGE_TAIL)),
    ("Presence", (*ENRP_HEAD, "reply_required", "pe_checksum", "server_information", *MESSAGE_TAIL)),
    ("HandleTableRequest", (*ENRP_HEAD, "own_only", *MESSAGE_TAIL)),
    ("HandleTableResponse", (*ENRP_HEAD, "reject", "more", "pool_entries", *MESSAGE_TAIL)),
    (
        "HandleUpdate",
        (*ENRP_HEAD, "update_action", "takeover_suggested", "pool_handle", "pool_element", *MESSAGE_TAIL),
    ),
    ("ListRequest", (*ENRP_HEAD, *MESSAGE_TAIL)),
    ("ListResponse", (*ENRP_HEAD, "reject", "servers", *MESSAGE_TAIL)),
    ("InitTakeover", (*ENRP_HEAD, "target_identifier", *MESSAGE_TAIL)),
    ("InitTakeoverAck", (*ENRP_HEAD, "target_identifier", *MESSAGE_TAIL)),
    ("TakeoverServer", (*ENRP_HEAD, "target_identifier", *MESSAGE_TAIL)),
    ("EnrpError", (*ENRP_HEAD, "operation_error", *MESSAGE_TAIL)),
)

cdef enum:
    MAX_FIELDS = 7


# A record class and the descriptors of its slots. ``held`` owns the references.
cdef struct Layout:
    PyObject *record_class
    PyObject *slots[MAX_FIELDS]
    int count


cdef Layout layouts[<int>KINDS]
cdef dict kinds = {}
cdef list held = []
cdef tuple NOTHING = ()


def install(classes):
    """Install the record classes, matched by name. Each must be a slotted dataclass with exactly the expected fields.

    Raises TypeError for a class with other fields or of an unknown name.
    """
    cdef int kind
    cdef int index
    by_name = {record_class.__name__: record_class for record_class in classes}
    for kind in range(<int>KINDS):
        name, fields = NAMES[kind]
        record_class = by_name.pop(name)
        if {field.name for field in dataclasses.fields(record_class)} != set(fields):
            raise TypeError(f"{name} does not have the fields {fields}")
        descriptors = [getattr(record_class, field) for field in fields]
        held.append((record_class, descriptors))
        kinds[record_class] = kind
        layouts[kind].record_class = <PyObject *>record_class
        layouts[kind].count = <int>len(descriptors)
        for index in range(layouts[kind].count):
            descriptor = descriptors[index]
            layouts[kind].slots[index] = <PyObject *>descriptor
    if by_name:
        raise TypeError(f"unknown records: {sorted(by_name)}")


cdef object make(Kind kind, object a, object b=None, object c=None, object d=None, object e=None, object f=None,
                 object g=None):
    cdef Layout *layout = &layouts[<int>kind]
    cdef PyObject *values[MAX_FIELDS]
    cdef int index
    cdef object record
    cdef object descriptor
    values[:] = [<PyObject *>a, <PyObject *>b, <PyObject *>c, <PyObject *>d, <PyObject *>e, <PyObject *>f,
                 <PyObject *>g]
    if layout.record_class == NULL:
        raise LocalProtocolError("rserpool.messages has not been imported")
    record = (<PyTypeObject *>layout.record_class).tp_new(
        <type>layout.record_class, <PyObject *>NOTHING, NULL
    )
    for index in range(layout.count):
        descriptor = <object>layout.slots[index]
        Py_TYPE(descriptor).tp_descr_set(descriptor, record, <object>values[index])
    return record


cdef int unknown_class(object record_class) except -1:
    raise LocalProtocolError(f"{record_class.__name__} is not a record of rserpool.messages")


cdef int kind_of_class(object record_class) except -1:
    kind = kinds.get(record_class)
    return <int>kind if kind is not None else unknown_class(record_class)


cdef int kind_of(object record) except -1:
    kind = kinds.get(type(record))
    return <int>kind if kind is not None else unknown_class(type(record))
