"""Pool elements, pool users, sessions and registrars for programs with threads. The names are those of rserpool.client.

with PoolElement("Pool", TCPTransport(...), policy=..., load=0.0) as element: element.load = 0.5
with PoolUser() as user: elements = user.resolve("Pool")
with open_session("Pool") as session: session.send(b"hello"); answer = session.receive(timeout=5)
serve("Pool", handler)  # with: def handler(session): for item in session: ...

One event loop in a background thread does the work, so that keep-alives are answered while the program computes. Every
object may be used from any thread. Objects that are still open when the interpreter exits are closed then. A forked
child gets an event loop of its own; using an object of the parent process there raises WrongProcess.
"""

from rserpool.blocking.background import WrongProcess
from rserpool.blocking.pools import Node, PoolElement, PoolUser, getaddrinfo, resolve
from rserpool.blocking.registrar import Registrar
from rserpool.blocking.serving import serve
from rserpool.blocking.sessions import ServiceSession, Session, open_session

__all__ = [
    "Node",
    "PoolElement",
    "PoolUser",
    "Registrar",
    "ServiceSession",
    "Session",
    "WrongProcess",
    "getaddrinfo",
    "open_session",
    "resolve",
    "serve",
]
