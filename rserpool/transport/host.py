"""The addresses of this host."""

from ipaddress import ip_address

import ifaddr

from rserpool.model.addresses import Scope, scope


def host_addresses(least: Scope, only: int | None = None) -> list[str]:
    """Return this host's addresses of at least that scope; with ``only``, those of one IP version.

    Link-local addresses are left out, because they are valid together with an interface only.
    """
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if scope(address) >= least and not address.is_link_local and only in (None, address.version):
                found.append(str(address))
    return found
