"""The proxies for programs that know nothing of pools."""
