"""Files of numbered lines that instruments write: plain, or compressed if the name ends in .bz2."""

import bz2
import contextlib
import logging
from typing import IO, cast

log = logging.getLogger("rserpool.registrar")


class Output:
    """One new file. OSError if it cannot be created; a later failure is logged once and ends the writing.

    ``lines`` is the number of the last line."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.lines = 0
        opened = bz2.open if path.endswith(".bz2") else open
        self._file: IO[str] | None = cast(IO[str], opened(path, "wt", encoding="utf-8"))

    def text(self, text: str) -> None:
        """Write lines as they are."""
        if self._file is None:
            return
        try:
            self._file.write(text)
        except OSError as error:
            self._give_up(error)

    def line(self, text: str) -> None:
        """Write one line under the next number."""
        self.lines += 1
        self.text(f"{self.lines:06d} {text}\n")

    def flush(self) -> None:
        """Write buffered text to the file; to a compressed file, only full blocks."""
        if self._file is None:
            return
        try:
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Finish the file."""
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            self._give_up(error)
        self._file = None

    def _give_up(self, error: OSError) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None
        log.error("%s: %s; writing to this file stops", self._path, error.strerror)
