"""Range checks of settings: each names the setting and the range."""

from dataclasses import dataclass

import pytest

from rserpool.settings.checks import ConfigError, check_positive, check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Settings with a number, a duration, a switch and a text."""

    count: int = 1
    seconds: float | None = 1.0
    switch: bool = False
    name: str = ""


def test_positive_numbers_pass_and_other_types_are_skipped() -> None:
    check_positive(Example())
    check_positive(Example(seconds=None))


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_number_that_is_not_positive_is_rejected(value: float) -> None:
    with pytest.raises(ConfigError, match=f"seconds must be more than 0, not {value}"):
        check_positive(Example(seconds=value))


def test_zero_is_allowed_for_named_fields_only() -> None:
    check_positive(Example(count=0), may_be_zero=("count",))
    with pytest.raises(ConfigError, match="count must be 0 or more, not -1"):
        check_positive(Example(count=-1), may_be_zero=("count",))


def test_fields_that_are_not_named_are_not_checked() -> None:
    check_positive(Example(count=-1), ("seconds",))


def test_range_includes_both_ends() -> None:
    for count in (1, 0xFFFFFFFF):
        check_range(Example(count=count), ("count",), 1, 0xFFFFFFFF)
    for count in (0, 0x100000000):
        with pytest.raises(ConfigError, match="count must be a number from 1 to 0xffffffff"):
            check_range(Example(count=count), ("count",), 1, 0xFFFFFFFF)
