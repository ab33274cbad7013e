"""rspserver's policies at one registrar: two elements in a pool of each policy, and the selections made by resolution.

Argument: the subject (see subject.py). Each policy is one finding: the order of elements 1 and 2 in some answers with
both, and the first element of many answers with one.
"""

import sys

from tests.interop import peers
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, wait_until
from tests.interop.subject import Subject

# rspserver's options for the first and the second element. Where shares are exact, distance has no influence.
# PriorityLeastUsedDegradationDPF is left out: it aborts rspserver.
POLICIES = {
    "RoundRobin": ("RoundRobin", "RoundRobin"),
    "WeightedRoundRobin": ("WeightedRoundRobin:3", "WeightedRoundRobin:1"),
    "Random": ("Random", "Random"),
    "WeightedRandom": ("WeightedRandom:3", "WeightedRandom:1"),
    "WeightedRandomDPF": ("WeightedRandomDPF:3:0.0001", "WeightedRandomDPF:1:0.0001"),
    "Priority": ("Priority:7", "Priority:2"),
    "LeastUsed": ("LeastUsed", "LeastUsed"),
    "LeastUsedDegradation": ("LeastUsedDegradation:0.001", "LeastUsedDegradation:0.002"),
    "LeastUsedDPF": ("LeastUsedDPF:0.0", "LeastUsedDPF:0.0"),
    "LeastUsedDegradationDPF": ("LeastUsedDegradationDPF:0.001:0.0", "LeastUsedDegradationDPF:0.002:0.0"),
    "PriorityLeastUsed": ("PriorityLeastUsed:0.1", "PriorityLeastUsed:0.2"),
    "PriorityLeastUsedDegradation": ("PriorityLeastUsedDegradation:0.001", "PriorityLeastUsedDegradation:0.002"),
    "RandomizedLeastUsed": ("RandomizedLeastUsed", "RandomizedLeastUsed"),
    "RandomizedPriorityLeastUsed": ("RandomizedPriorityLeastUsed", "RandomizedPriorityLeastUsed"),
}
# An idle element of the adaptive policies does not re-register, so that its load counters stay unchanged.
REREGISTRATION_MS = 120_000
PAIRS = 12
HEADS = 400


def register(net: Network, subject: Subject, user: peers.PoolUser, policy: str) -> int:
    """Register two elements in a pool named after its policy; returns the policy type in the answer."""
    for number, value in enumerate(POLICIES[policy], 1):
        options = [f"-poolhandle={policy}", f"-policy={value}", *peers.static(subject.registrar)]
        peers.element(net, 2, number, "echo", *options, tag=f"{policy}{number}", rereg_ms=REREGISTRATION_MS)
    wait_until(lambda: len(user.resolve(policy, items=2).elements) == 2, f"two elements in {policy}", every=0.1)
    return user.resolve(policy, items=2).policy_type or 0


def main() -> None:
    subject = Subject(name=sys.argv[1], keep_alive_interval=20.0, keep_alive_timeout=20.0)
    with subject.network(out_directory()) as net:
        with finding("ready"):
            registrar = subject.start(net)
            net.host(2)
            net.host(9)
            user = peers.connect_when_ready(net, 9, subject.registrar, registrar)
        for policy in POLICIES:
            with finding(policy) as found:
                found["policy_type"] = register(net, subject, user, policy)
                found["heads"] = [user.resolve(policy, items=1).elements for _ in range(HEADS)]
                found["pairs"] = [user.resolve(policy, items=2).elements for _ in range(PAIRS)]
        with finding("other policy") as found:
            options = ["-poolhandle=RoundRobin", "-policy=Random", *peers.static(subject.registrar)]
            stranger = peers.element(net, 2, 3, "echo", *options, tag="stranger")
            stranger.wait_for("failed: incompatible pool policy")
            found["elements"] = user.resolve("RoundRobin", items=5).elements
        with finding("end") as found:
            found["alive"] = registrar.alive()


if __name__ == "__main__":
    main()
