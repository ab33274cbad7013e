"""Addresses in configuration."""

from ipaddress import ip_address

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.settings.locator import parse_addresses, parse_peers


def test_every_form_of_an_address() -> None:
    listed = ["10.0.0.1", "10.0.0.1:99", "::1", "[::1]", "[fd44::1]:77"]
    assert parse_addresses(listed, 3863) == [
        ("10.0.0.1", 3863),
        ("10.0.0.1", 99),
        ("::1", 3863),
        ("::1", 3863),
        ("fd44::1", 77),
    ]


@pytest.mark.parametrize("entry", ["", ":1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "[::1", "[::1]1", "host"])
def test_bad_entry_is_named_in_the_error(entry: str) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        parse_addresses([entry], 3863)
    assert repr(entry) in str(raised.value)


def test_peer_with_several_addresses_shares_one_port() -> None:
    assert parse_peers(["10.0.0.1, 10.1.0.1", "[fd44::1]:77"], 9901) == [
        ((ip_address("10.0.0.1"), ip_address("10.1.0.1")), 9901),
        ((ip_address("fd44::1"),), 77),
    ]
    with pytest.raises(LocalProtocolError, match="one peer"):
        parse_peers(["10.0.0.1:1,10.1.0.1:2"], 9901)
