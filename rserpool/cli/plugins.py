"""The custom policies that installed packages offer, loaded and logged when a program starts."""

import logging

from rserpool.policies import load_plugins


def load_policies(log: logging.Logger) -> None:
    """Register them; a line for each, and an error for each that cannot be used."""
    loaded, errors = load_plugins()
    for policy in loaded:
        log.info("policy %s, type 0x%08x, is served by a plug-in", policy.name, policy.policy_type)
    for error in errors:
        log.error("%s", error)
