"""The log in rsplib's format: two lines for each message, its origin and its text."""

import logging
import os
import socket
import time

LEVELS = (logging.CRITICAL + 1, logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, *[logging.DEBUG] * 5)
"""Python's level for each of rsplib's, 0 to 9."""
RESET = "\x1b[0m"
COLOURS = {logging.ERROR: "31", logging.WARNING: "35", logging.INFO: "32", logging.DEBUG: "36"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Formatter(logging.Formatter):
    """``DD-Mon-YYYY HH:MM:SS.ffff: P<process>.<thread>@host file:line function()``, then stamp and message."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour
        self._host = socket.gethostname().partition(".")[0]

    def format(self, record: logging.LogRecord) -> str:
        """Format one record in two lines."""
        stamp = timestamp(record.created)
        thread = f"{record.thread or 0:x}"
        where = f"P{record.process}.{thread}@{self._host} {record.filename}:{record.lineno} {record.funcName}()"
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if not self._colour:
            return f"{stamp}: {where}\n{stamp}: {message}"
        colour = COLOURS.get(record.levelno, "32")
        bright, plain = f"\x1b[1;{colour}m", f"\x1b[0;{colour}m"
        return f"{bright}{stamp}: {plain}{where}\n{bright}{stamp}: {plain}{message}{RESET}"


def timestamp(seconds: float) -> str:
    """Local time with tenths of milliseconds. Month names are English in every locale."""
    tenths = int(seconds * 10_000)
    local = time.localtime(tenths // 10_000)
    day = f"{local.tm_mday:02d}-{MONTHS[local.tm_mon - 1]}-{local.tm_year:04d}"
    return f"{day} {local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}.{tenths % 10_000:04d}"


def set_up(level: int, path: str, *, append: bool, colour: bool) -> None:
    """Log messages up to rsplib's ``level`` to a file, or to standard error without a path. Raises OSError if the file
    cannot be opened."""
    handler: logging.Handler
    if path:
        handler = logging.FileHandler(path, mode="a" if append else "w", encoding="utf-8", errors="backslashreplace")
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(Formatter(colour=colour))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    logging.getLogger("rserpool.registrar").info("the log begins, at level %d, by process %d", level, os.getpid())
