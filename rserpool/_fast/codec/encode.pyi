from ipaddress import IPv4Address, IPv6Address

from rserpool.messages.record import Record

def encode(record: Record) -> bytes: ...
def encode_address(address: IPv4Address | IPv6Address) -> bytes: ...
def encode_pool_handle(pool_handle: bytes) -> bytes: ...
def encode_handle_update(
    *,
    sender_identifier: int,
    update_action: int,
    pool_handle: bytes,
    parameter: bytes,
    takeover_suggested: bool = False,
) -> bytes: ...
def encode_handle_table_response(
    *,
    sender_identifier: int,
    receiver_identifier: int,
    reject: bool = False,
    more: bool = False,
    entries: bytes = b"",
) -> bytes: ...
