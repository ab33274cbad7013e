"""The names of a registrar's counters."""

from rserpool.protocol.counters import CounterName


class Count(CounterName):
    """The counters of a registrar: each has a name, which logs and metrics show, and a description."""

    # Transport
    ASSOCIATIONS = "associations", "ASAP associations and connections accepted"
    ASSOCIATIONS_REFUSED = "associations refused", "ASAP associations aborted because there were too many"
    SLOW_READERS_ABORTED = "slow readers aborted", "associations aborted because the peer did not read its messages"
    OTHER_PROTOCOLS = "messages of another protocol", "messages with an unexpected payload protocol identifier"

    # Registrations (RFC 5352 3.1, 3.2)
    REGISTRATIONS = "registrations", "pool elements registered"
    RE_REGISTRATIONS = "re-registrations", "registrations of pool elements that were registered already"
    REGISTRATIONS_REFUSED = "registrations refused", "registrations answered with an error cause"
    REGISTRATIONS_EXPIRED = "registrations expired", "pool elements removed at the end of their registration life"
    DEREGISTRATIONS = "deregistrations", "deregistrations granted"
    DEREGISTRATIONS_REFUSED = "deregistrations refused", "deregistrations by another association or without the right"
    ELEMENTS_LOST = "elements lost with their association", "pool elements removed because their association ended"

    # Handle resolution (RFC 5352 3.3)
    RESOLUTIONS = "handle resolutions", "handle resolutions answered"
    UNKNOWN_POOLS = "handle resolutions of unknown pools", "handle resolutions of pools that do not exist"
    RESOLUTIONS_REFUSED = "handle resolutions refused", "handle resolutions without the right to resolve the pool"
    POLICY_FAILURES = "failures of custom policies", "selections by round robin because a custom policy failed"

    # Liveness (RFC 5352 3.4, 3.5)
    KEEP_ALIVES = "keep-alives", "keep-alives sent to pool elements"
    ACKNOWLEDGEMENTS = "keep-alive acknowledgements", "keep-alives acknowledged"
    STRAY_ACKNOWLEDGEMENTS = (
        "keep-alive acknowledgements of nobody",
        "acknowledgements for elements not registered there",
    )
    ELEMENTS_SILENT = "elements silent", "pool elements removed because they did not acknowledge a keep-alive"
    REPORTS = "reports", "reports of unreachable pool elements"
    STRAY_REPORTS = "reports of unknown elements", "reports of elements whose home is not this registrar"
    ELEMENTS_REPORTED = "elements removed by reports", "pool elements removed after too many reports"
    ELEMENTS_UNREACHABLE = (
        "elements unreachable after a takeover",
        "pool elements removed because no association to them could be opened after a takeover",
    )

    # Messages
    OVER_RATE = "requests over the rate", "requests refused because their association sent too many"
    MALFORMED = "malformed messages", "messages that could not be decoded"
    NOT_FOR_REGISTRARS = "messages not for a registrar", "ASAP messages that a registrar never receives"
    ERRORS_SENT = "errors sent", "ASAP_ERROR messages sent"
    ERRORS_NOT_SENT = "errors not sent", "errors not reported because there were too many"
    ERRORS_RECEIVED = "errors received", "ASAP_ERROR and ENRP_ERROR messages received"
    ANNOUNCEMENTS_OVER_RATE = "announcements over the rate", "announcements ignored because there were too many"
    MALFORMED_ANNOUNCEMENTS = "malformed announcements", "multicast datagrams that could not be decoded"

    # Peers (RFC 5353)
    PEERS_REFUSED = "peers refused", "peer registrars ignored because there were too many, or without the right"
    MISDIRECTED = "messages for another registrar", "ENRP messages with another receiver's identifier"
    DUPLICATE_IDENTIFIERS = "forged or duplicate identifiers", "ENRP messages with an identifier that is another's"
    CHANGED_IDENTIFIERS = "changed identifiers", "ENRP associations aborted because the peer changed its identifier"
    UNEXPECTED_RESPONSES = "unasked responses", "ENRP responses without a request"
    UPDATES_SENT = "handle updates sent", "handle updates sent to all peers"
    UPDATES = "handle updates", "handle updates received"
    FOREIGN_UPDATES = "updates of others' elements", "handle updates of elements whose home is not the sender"
    FOREIGN_ENTRIES = "table entries of others' elements", "handle table entries whose home is not the sender"
    ELEMENTS_REFUSED = "elements of peers refused", "peers' elements that could not be stored"
    TABLE_REQUESTS = "handle table requests", "handle table requests received"
    SYNCHRONISATIONS = "synchronisations", "downloads of a peer's handle table"
    TABLES_SHRUNK = "downloads that lost most elements", "downloads after which most of a peer's elements were removed"
    TAKEOVERS = "takeovers", "peer registrars taken over"
    TAKEOVERS_DISBELIEVED = "takeovers not believed", "announced takeovers of registrars that are alive"
