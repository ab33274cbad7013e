"""Pool elements, pool users and sessions of the blocking API over libusrsctp on the loopback interface."""

import concurrent.futures
import multiprocessing
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import pytest

from rserpool.blocking import (
    Node,
    PoolElement,
    PoolUser,
    Registrar,
    ServiceSession,
    WrongProcess,
    getaddrinfo,
    open_session,
    resolve,
    serve,
)
from rserpool.client import Data, ElementState, NoElement, NoRegistrar, Resumed, SessionClosed, UnknownPool
from rserpool.errors import LocalProtocolError
from rserpool.messages import Policy, PolicyType, TCPTransport
from rserpool.protocol.registrar.watching import ElementUpdated
from rserpool.settings.checks import ConfigError
from tests.support.processes import HOST, PATIENCE, Process, until

pytest.importorskip("rserpool._fast.io.usrsctp.socket", reason="libusrsctp-dev is missing (ci/setup)")

SERVICE = TCPTransport(port=80, address=ip_address(HOST))
LEAST_USED = Policy(policy_type=PolicyType.LEAST_USED)
OPTIONS: dict[str, Any] = {
    "asap": f"{HOST}:0", "enrp": "off", "announce": (), "address_scope": "loopback", "transport": "usrsctp",
    "keep_alive_interval": 0.2, "keep_alive_timeout": PATIENCE,
}  # fmt: skip


@pytest.fixture(scope="module")
def home() -> Iterator[Registrar]:
    with Registrar(**OPTIONS) as registrar:
        yield registrar


def echo(session: ServiceSession) -> None:
    for item in session:
        if isinstance(item, Data):
            session.send(item, item.ppid)
            if session.has_control_channel:
                session.cookie = item
        elif isinstance(item, Resumed):
            session.send(b"before: " + item.cookie)


def test_registrar_is_watched(home: Registrar) -> None:
    with pytest.raises(TimeoutError):
        next(home.watch(timeout=0.01))
    with (
        PoolElement("Watched", SERVICE, policy=LEAST_USED, load=0.0, identifier=9, registrars=home.addresses) as one,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(next, home.watch(timeout=PATIENCE))
        while not first.done():
            one.load = 0.75 - one.load
            concurrent.futures.wait([first], 0.05)
        assert first.result() == ElementUpdated(handle=b"Watched", identifier=9)


def test_elements_and_users(home: Registrar) -> None:
    with (
        Node(registrars=home.addresses) as node,
        PoolElement("Web", SERVICE, policy=LEAST_USED, load=0.75, identifier=1, node=node) as first,
        PoolElement("Web", SERVICE, policy=LEAST_USED, load=0.5, identifier=2, registrars=home.addresses) as second,
        PoolUser(node=node) as user,
    ):
        assert (first.state, first.identifier, first.pool_handle) == (ElementState.READY, 1, b"Web")
        assert [one.identifier for one in user.resolve("Web")] == [2, 1]
        assert [one.identifier for one in resolve("Web", registrars=home.addresses)] == [2, 1]
        assert [tuple(one)[4] for one in getaddrinfo("Web", registrars=home.addresses)] == [(HOST, 80)] * 2
        chosen = user.select("Web")
        assert chosen.identifier == 2
        assert user.report_unreachable(chosen)
        assert user.select("Web", exclude=[2]).identifier == 1
        with pytest.raises(NoElement):
            user.select("Web", exclude=[1, 2])
        setter = threading.Thread(target=lambda: setattr(second, "load", 1.0))
        setter.start()
        setter.join(PATIENCE)
        second.registered(timeout=PATIENCE)
        assert second.load == 1.0
        assert [one.identifier for one in user.resolve("Web")] == [1, 2]
        assert first.local_addresses == (ip_address(HOST),) == node.local_addresses
        until(lambda: first.home is not None and first.home.identifier == home.identifier)
        assert home.pools()[0].elements[0].identifier == 1
        assert [one.identifier for one in home.resolve("Web")] == [1, 2]
    assert home.pools() == ()
    with pytest.raises(LocalProtocolError):
        first.registered(timeout=1)


def test_watching_and_events(home: Registrar) -> None:
    with PoolUser(registrars=home.addresses) as user:
        watch = user.watch("Watched", poll_interval=0.05, timeout=PATIENCE)
        assert next(watch) == ()
        element = PoolElement("Watched", SERVICE, registrars=home.addresses)
        events = element.events(timeout=PATIENCE)
        with element:
            assert [one.identifier for one in next(watch)] == [element.identifier]
            assert any(event.state is ElementState.READY for event in iter(lambda: next(events), None))
        assert next(watch) == ()
        for event in events:
            last = event
        assert last.state is ElementState.IDLE
        quiet = user.watch("Nobody", timeout=0.05)
        assert next(quiet) == ()
        with pytest.raises(TimeoutError):
            next(quiet)
        watch.close()


def test_errors_and_timeouts(home: Registrar) -> None:
    with PoolUser(registrars=home.addresses) as user, pytest.raises(UnknownPool):
        user.resolve("Nobody")
    with PoolUser(registrars=["127.0.0.1:9"]) as user, pytest.raises(NoRegistrar):
        user.resolve("Nobody", timeout=0.05)
    with pytest.raises(NoRegistrar):
        PoolElement("Web", SERVICE, registrars=["127.0.0.1:9"], patience=0.05).open()
    with pytest.raises(TimeoutError):
        PoolElement("Web", SERVICE, registrars=["127.0.0.1:9"]).open(timeout=0.05)
    with pytest.raises(ConfigError):
        Registrar(colour="red")
    element = PoolElement("Web", SERVICE, registrars=home.addresses)
    element.close()
    with element:
        element.close()
        element.close(timeout=PATIENCE)


def test_keep_alives_are_answered_while_threads_compute(home: Registrar) -> None:
    with PoolElement("Busy", SERVICE, registrars=home.addresses):
        before = home.counters.get("keep-alive acknowledgements", 0)
        done = threading.Event()
        workers = [threading.Thread(target=compute, args=(done,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        try:
            until(lambda: home.counters.get("keep-alive acknowledgements", 0) >= before + 5)
        finally:
            done.set()
        for worker in workers:
            worker.join(PATIENCE)


def compute(done: threading.Event) -> None:
    while not done.is_set():
        sum(range(10_000))


@pytest.mark.parametrize("protocol", ["sctp", "tcp"])
def test_sessions(home: Registrar, protocol: str) -> None:
    with PoolElement("Echo", registrars=home.addresses, protocol=protocol) as element:
        server = threading.Thread(target=serve_once, args=(element,))
        server.start()
        with open_session("Echo", registrars=home.addresses) as session:
            assert session.element is not None
            assert session.element.identifier == element.identifier
            session.send(b"hello", 7, timeout=PATIENCE)
            answer = session.receive(timeout=PATIENCE)
            assert answer == b"hello"
            assert isinstance(answer, Data)
            assert answer.ppid == (7 if protocol == "sctp" else 0)
            assert session.has_control_channel is (protocol == "sctp")
            if protocol == "sctp":
                until(lambda: session.cookie == b"hello")
            session.send(b"more")
            for item in session:
                assert item == b"more"
                break
            assert not session.closed
            with pytest.raises(TimeoutError):
                session.receive(timeout=0.05)
        assert session.closed
        with pytest.raises(SessionClosed):
            session.send(b"late")
        server.join(PATIENCE)


def serve_once(element: PoolElement) -> None:
    for session in element.sessions(timeout=PATIENCE):
        with session:
            assert session.peer_addresses == (ip_address(HOST),)
            assert session.peer_port > 0
            echo(session)
        return


def test_a_session_fails_over_between_threads(home: Registrar) -> None:
    elements = [PoolElement("Pair", registrars=home.addresses, identifier=number) for number in (1, 2)]
    servers = [threading.Thread(target=serve, args=(element, echo)) for element in elements]
    for server in servers:
        server.start()
    until(lambda: len(home.resolve("Pair")) == 2)
    with open_session("Pair", registrars=home.addresses, failover="event") as session:
        assert session.element is not None
        first = session.element.identifier
        session.send(b"one")
        assert session.receive(timeout=PATIENCE) == b"one"
        until(lambda: session.cookie == b"one")
        elements[first - 1].close()
        items = iter(session)
        found = [next(items), next(items)]
        assert b"before: one" in found
        assert session.failovers == 1
        assert session.element.identifier == 3 - first
        session.send(b"two")
        assert session.receive(timeout=PATIENCE) == b"two"
        elements[2 - first].close()
    for server in servers:
        server.join(PATIENCE)
        assert not server.is_alive()


def test_a_handler_that_fails_aborts_only_its_session(home: Registrar, caplog: pytest.LogCaptureFixture) -> None:
    def handler(session: ServiceSession) -> None:
        if session.receive(timeout=PATIENCE) == b"fail":
            raise ZeroDivisionError
        session.send(b"fine")

    element = PoolElement("Fragile", registrars=home.addresses)
    server = threading.Thread(target=serve, args=(element, handler))
    server.start()
    until(lambda: home.resolve("Fragile"))
    with open_session("Fragile", registrars=home.addresses, failover="error") as session:
        session.send(b"fail")
        with pytest.raises(SessionClosed):
            session.receive(timeout=PATIENCE)
    with open_session("Fragile", registrars=home.addresses) as session:
        session.send(b"work")
        assert session.receive(timeout=PATIENCE) == b"fine"
    element.close()
    server.join(PATIENCE)
    assert "ZeroDivisionError" in caplog.text


PROGRAM = """
import os, signal, sys, threading, time
from ipaddress import ip_address
from rserpool.blocking import PoolElement, serve, open_session
from rserpool.messages import TCPTransport
where, how = sys.argv[1:]
if how == "serve":
    def handler(session):
        for item in session: session.send(item)
    print("serving", flush=True)
    serve("Ends", handler, registrars=[where])
element = PoolElement("Ends", TCPTransport(port=80, address=ip_address("127.0.0.1")), registrars=[where]).open()
print("registered", flush=True)
if how == "error": raise ValueError("over")
if how == "exit": sys.exit(3)
if how == "interrupt":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("waiting", flush=True)
    for _ in element.events(): pass
"""


@pytest.mark.parametrize(
    ("how", "number", "status"),
    [
        ("end", None, 0),
        ("exit", None, 3),
        ("error", None, 1),
        ("interrupt", signal.SIGINT, -signal.SIGINT),
        ("serve", signal.SIGTERM, 128 + signal.SIGTERM),
    ],
)
def test_the_exit_of_the_interpreter_deregisters(
    home: Registrar, how: str, number: signal.Signals | None, status: int
) -> None:
    before = home.counters.get("deregistrations", 0)
    with Process(sys.executable, "-c", PROGRAM, home.addresses[0], how) as process:
        if number is not None:
            process.wait_for("waiting|serving")
            until(lambda: home.resolve("Ends"))
            process.send(number)
        assert process.process.wait(PATIENCE) == status
        assert home.counters["deregistrations"] == before + 1
        assert home.resolve("Ends") == ()
        assert "Exception ignored" not in process.log


def in_child(parents: PoolElement, where: str, queue: "multiprocessing.Queue[Any]") -> None:
    wrong = []
    for use in (lambda: parents.load, lambda: parents.close(), lambda: next(parents.events())):
        try:
            use()
        except WrongProcess as error:
            wrong.append(re.sub(r"\d+", "N", str(error)))
    queue.put(wrong)
    with PoolElement("Child", SERVICE, registrars=[where]) as mine, PoolUser(registrars=[where]) as user:
        queue.put([one.identifier for one in user.resolve("Child")] == [mine.identifier])
        queue.put([one.identifier for one in user.resolve("Parent")] == [9])


def test_a_forked_child_has_its_own_objects_and_leaves_those_of_the_parent(home: Registrar) -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[Any] = context.Queue()
    with PoolElement(
        "Parent", SERVICE, policy=LEAST_USED, load=0.0, registrars=home.addresses, identifier=9
    ) as element:
        child = context.Process(target=in_child, args=(element, home.addresses[0], queue))
        child.start()
        text = "this object belongs to process N; make a new one after the fork"
        assert queue.get(timeout=PATIENCE) == [text] * 3
        assert queue.get(timeout=PATIENCE) is True
        assert queue.get(timeout=PATIENCE) is True
        child.join(PATIENCE)
        assert child.exitcode == 0
        assert [one.identifier for one in home.resolve("Parent")] == [9]
        element.load = 0.5
        element.registered(timeout=PATIENCE)
        assert [one.policy.load for one in home.resolve("Parent")] == [0x80000000]


def test_many_threads(home: Registrar) -> None:
    failures: list[BaseException] = []

    def use(user: PoolUser, number: int) -> None:
        try:
            for _ in range(20):
                assert user.resolve("Many")
                element.load = number / 100
        except BaseException as error:
            failures.append(error)

    with (
        PoolElement("Many", SERVICE, policy=LEAST_USED, load=0.0, registrars=home.addresses) as element,
        PoolUser(registrars=home.addresses) as user,
    ):
        threads = [threading.Thread(target=use, args=(user, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert not failures
