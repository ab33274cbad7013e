"""Checks what elements and users need of their pools: homes, correct watched pools, and sessions that are served."""

from collections.abc import Iterator, Mapping, Sequence

from rserpool.protocol.session.user_table import UserSessionState
from tests.sim.caller import Caller
from tests.sim.client import Client
from tests.sim.clock import SECOND
from tests.sim.member import Member
from tests.sim.node import Node

REPLY_TIME = 4.0
"""Time limit for the answer to a question in a settled world, in seconds."""
Held = Mapping[tuple[bytes, int], tuple[int, int, bytes]]


def homes_differ(clients: Sequence[Client], nodes: Sequence[Node]) -> Iterator[str]:
    """Describe how a node's home differs from the running registrars."""
    identifiers = {node.host: node.identifier for node in nodes}
    for client in clients:
        if client.node is None:
            continue
        home = client.home
        if home is None:
            if client.node.wanting:
                yield f"{client.name} has no home"
        elif client.node.context.home_identifier not in (0, identifiers.get(home.there.host)):
            yield f"{client.name} takes its home {home.there.host.name} for {client.node.context.home_identifier:08x}"


def watches_differ(clients: Sequence[Client], held: Held) -> Iterator[str]:
    """Describe how a watched pool differs from the registrars' pool."""
    pools: dict[bytes, dict[int, tuple[int, bytes]]] = {}
    for (pool, identifier), (home, _, parameter) in held.items():
        pools.setdefault(pool, {})[identifier] = home, parameter
    for client in clients:
        for pool in client.pools if client.running else ():
            told = client.watched.get(pool)
            truth = pools.get(pool, {})
            seen = {one.identifier: one for one in told.elements} if told is not None else {}
            if told is None or seen.keys() != truth.keys():
                few, many = len(seen.keys() - truth.keys()), len(truth.keys() - seen.keys())
                yield f"{client.name} sees {few} elements too many of {pool.decode()}, and {many} of {len(truth)} not"
                continue
            for identifier, (home, parameter) in truth.items():
                one = seen[identifier]
                if one.home_identifier != home or one.policy.encode() not in parameter:
                    yield f"{client.name} sees {identifier:08x} of {pool.decode()} otherwise than its registrar"


def sessions_wait(clients: Sequence[Client], elements: Sequence[object], now: int) -> Iterator[str]:
    """List sessions that are not served although their pool has an element."""
    pools = {one.pool for one in elements if isinstance(one, Member) and one.alive and not one.frozen}
    for client in clients:
        for caller in client.callers if client.running else ():
            if caller.pool not in pools:
                continue
            machine = caller.machine
            if machine is None or machine.state not in (UserSessionState.OPEN, UserSessionState.CLOSING):
                yield f"{caller.name} is {machine.state.name if machine is not None else 'not begun'}"
            elif caller.questions and now > min(caller.questions.values()) + REPLY_TIME * SECOND:
                yield f"{caller.name} has waited for a reply for more than {REPLY_TIME:.0f} s"


def served(clients: Sequence[Client], elements: Sequence[object]) -> dict[Caller, object]:
    """Map the sessions that have a living element to their association."""
    hosts = {one.host for one in elements if isinstance(one, Member) and one.alive and not one.frozen}
    callers = [caller for client in clients for caller in client.callers]
    return {caller: side for caller in callers if (side := caller.serving) is not None and side.there.host in hosts}
