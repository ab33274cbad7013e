"""Proxies for TCP clients and servers that know nothing of RSerPool."""
