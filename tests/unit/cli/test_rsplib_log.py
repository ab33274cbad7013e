"""The log in rsplib's format: two lines for each message, levels and colours."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rserpool.cli import rsplib_log

LINE = r"\d\d-[A-Z][a-z][a-z]-\d{4} \d\d:\d\d:\d\d\.\d{4}: "


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers = []
    yield
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level = handlers, level


def test_message_has_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rsplib_log.set_up(2, str(path), append=False, colour=False)
    logging.getLogger("x").warning("it rains in %s", "Essen")
    first, second = path.read_text().splitlines()
    function = r"test_rsplib_log\.py:\d+ test_message_has_two_lines\(\)"
    assert re.fullmatch(LINE + rf"P\d+\.[0-9a-f]+@\S+ {function}", first)
    assert re.fullmatch(LINE + "it rains in Essen", second)


@pytest.mark.parametrize(
    ("level", "count"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4), (7, 4), (8, 4), (9, 4)]
)
def test_rsplibs_level_selects_messages(tmp_path: Path, level: int, count: int) -> None:
    path = tmp_path / "log"
    rsplib_log.set_up(level, str(path), append=False, colour=False)
    before = len(path.read_text().splitlines()) // 2
    for log in (logging.error, logging.warning, logging.info, logging.debug):
        log("said")
    assert len(path.read_text().splitlines()) // 2 - before == count
    assert before == (level >= 3)


def test_log_file_is_overwritten_or_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for append, expected in ((False, 1), (True, 2), (False, 1)):
        rsplib_log.set_up(1, str(path), append=append, colour=False)
        logging.error("said")
        assert path.read_text().count("said") == expected


def test_colours_end_with_the_message(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rsplib_log.set_up(1, str(path), append=False, colour=True)
    logging.error("said")
    first, second = path.read_text().splitlines()
    assert first.startswith("\x1b[1;31m")
    assert second.endswith("said\x1b[0m")


def test_exception_is_logged_with_traceback(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rsplib_log.set_up(1, str(path), append=False, colour=False)
    try:
        raise RuntimeError("odd")
    except RuntimeError:
        logging.exception("oops")
    assert "RuntimeError: odd" in path.read_text()


def test_timestamp_has_tenths_of_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsplib_log.time, "localtime", rsplib_log.time.gmtime)
    assert rsplib_log.timestamp(1795166740.8649) == "20-Nov-2026 09:25:40.8649"
    assert rsplib_log.timestamp(1795166740.99999) == "20-Nov-2026 09:25:40.9999"
