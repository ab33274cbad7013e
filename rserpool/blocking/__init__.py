"""Elements, users, sessions and registrars for programs with threads, under the names of the asynchronous face.

with Registrar(asap="127.0.0.1:0", enrp="off", announce=()) as registrar: ...

One event loop in a thread of its own does the work, so that keep-alives are answered while the program computes. Every
object may be used from any thread; what is left open is closed when the interpreter ends. A forked child gets a loop of
its own, and WrongProcess from the objects of its parent.
"""

from rserpool.blocking.background import WrongProcess
from rserpool.blocking.registrar import Registrar

__all__ = ["Registrar", "WrongProcess"]
