"""Results of the benchmarks: parts measured at different times, and a comparison of commits."""

from pathlib import Path

import pytest

from bench import compare
from bench.system import report

ORDER = ["calls", "tcp", "grid"]


def measured(name: str, line: str, figures: dict[int, str] | None = None) -> dict[str, dict[str, object]]:
    return {name: report.entry(f"Part {name}", [line] if figures is None else ([line], figures))}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return tmp_path / "system.md"


def test_part_measured_again_replaces_its_section_only(results: Path) -> None:
    report.write(measured("grid", "the grid"), ORDER)
    report.write(measured("tcp", "first", {6: "0.5"}), ORDER)
    report.write(measured("tcp", "second", {6: "0.9", 13: "17, 25 us"}), ORDER)
    text = results.read_text()
    assert "first" not in text
    assert text.index("## Targets") < text.index("## Part tcp\n\nsecond\n") < text.index("## Part grid\n\nthe grid\n")
    assert "| 0.85 | 0.9 |" in text
    assert "| 17, 25 us |" in text
    assert text.count("| not yet |") == len(report.TARGETS) - 2


def test_section_names_another_day_or_machine(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "stamp", lambda: "an old machine")
    report.write(measured("calls", "some"), ORDER)
    monkeypatch.setattr(report, "stamp", lambda: "a new machine")
    report.write(measured("tcp", "others"), ORDER)
    text = results.read_text()
    assert text.startswith("# a new machine\n")
    assert "## Part calls\n\nMeasured with an old machine.\n\nsome\n" in text
    assert "## Part tcp\n\nothers\n" in text


def test_part_that_no_longer_exists_is_dropped(results: Path) -> None:
    report.write(measured("old", "gone"), [*ORDER, "old"])
    report.write(measured("tcp", "stays"), ORDER)
    assert "gone" not in results.read_text()


def test_difference_is_reported_if_every_round_shows_it() -> None:
    base = [{"quick": 100.0, "noisy": 100.0, "dropped": 5.0}, {"quick": 110.0, "noisy": 100.0, "dropped": 5.0}]
    head = [{"quick": 80.0, "noisy": 90.0, "added": 7.0}, {"quick": 80.0, "noisy": 120.0, "added": 7.0}]
    _, *lines = compare.table(base, head)
    rows = {line.split()[-1]: line for line in lines}
    assert "0.76" in rows["quick"]
    assert "0.73 to 0.80" in rows["quick"]
    assert "faster" in rows["quick"]
    assert "slower" not in rows["noisy"]
    assert "new" in rows["added"]
    assert "gone" in rows["dropped"]
