"""Scopes of addresses, and the selection of addresses by scope."""

from ipaddress import ip_address

import pytest

from rserpool.model.addresses import Scope, scope, usable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0", 0),
        ("224.0.1.185", 0),
        ("255.255.255.255", 0),
        ("::", 0),
        ("ff05::133", 0),
        ("127.0.0.1", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("::ffff:127.0.0.1", Scope.LOOPBACK),
        ("169.254.1.1", 4),
        ("fe80::1", 4),
        ("10.44.0.1", Scope.SITE_LOCAL),
        ("172.31.255.255", Scope.SITE_LOCAL),
        ("192.168.0.1", Scope.SITE_LOCAL),
        ("::ffff:10.0.0.1", Scope.SITE_LOCAL),
        ("fec0::1", Scope.SITE_LOCAL),
        ("172.32.0.1", Scope.GLOBAL),
        ("192.0.2.99", Scope.GLOBAL),
        ("100.64.0.1", Scope.GLOBAL),
        ("fd44::1", Scope.GLOBAL),
    ],
)
def test_scope_of_each_kind_of_address(text: str, expected: int) -> None:
    assert scope(ip_address(text)) == expected


def test_usable_keeps_order_drops_repeats_and_maps_to_ipv4() -> None:
    listed = [ip_address(text) for text in ("fd44::1", "::ffff:10.0.0.1", "10.0.0.1", "127.0.0.1", "fe80::1")]
    assert usable(listed, Scope.SITE_LOCAL) == (ip_address("fd44::1"), ip_address("10.0.0.1"))
    assert usable(listed, Scope.GLOBAL) == (ip_address("fd44::1"),)
    assert ip_address("127.0.0.1") in usable(listed, Scope.LOOPBACK)
    assert ip_address("0.0.0.0") not in usable([ip_address("0.0.0.0")], Scope.LOOPBACK)
