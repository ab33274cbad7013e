"""Logs notes, at most one per subject and minute, and counts those left out."""

import logging

from rserpool.protocol.actions import Note

INTERVAL = 60.0
MAX_SUBJECTS = 1024
"""The number of subjects that are remembered. Beyond it the oldest is forgotten, so that a flood cannot fill the
memory."""


class Notes:
    """Writes notes to a log, each subject at most once a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, tuple[float, int]] = {}

    def write(self, note: Note, now: float) -> None:
        """Log the note, or only count it if its subject was logged less than a minute before ``now`` (seconds)."""
        if not self._log.isEnabledFor(note.level):
            return
        when, left_out = self._last.pop(note.subject, (now - INTERVAL, 0))
        if now - when < INTERVAL:
            self._last[note.subject] = (when, left_out + 1)
            return
        if len(self._last) >= MAX_SUBJECTS:
            del self._last[next(iter(self._last))]
        self._last[note.subject] = (now, 0)
        more = f" ({left_out} more like this in the last minute)" if left_out else ""
        self._log.log(note.level, "%s%s", note.text, more)
