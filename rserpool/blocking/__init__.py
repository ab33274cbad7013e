"""Elements, users, sessions and registrars for programs with threads, under the names of the asynchronous face.

with PoolElement("Pool", TCPTransport(...), policy=..., load=0.0) as element: element.load = 0.5
with PoolUser() as user: elements = user.resolve("Pool")
with open_session("Pool") as session: session.send(b"hello"); answer = session.receive(timeout=5)
serve("Pool", handler)  # with: def handler(session): for item in session: ...

One event loop in a thread of its own does the work, so that keep-alives are answered while the program computes. Every
object may be used from any thread; what is left open is closed when the interpreter ends. A forked child gets a loop of
its own, and WrongProcess from the objects of its parent.
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
