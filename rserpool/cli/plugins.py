"""Loads the custom policies of installed packages when a program starts."""

import logging

from rserpool.policies import load_plugins


def load_policies(log: logging.Logger) -> None:
    """Register all policies offered through entry points. Logs each policy, and an error for each unusable plug-in."""
    loaded, errors = load_plugins()
    for policy in loaded:
        log.info("policy %s, type 0x%08x, is provided by a plug-in", policy.name, policy.policy_type)
    for error in errors:
        log.error("%s", error)
