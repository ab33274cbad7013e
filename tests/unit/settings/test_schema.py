"""Options made from the documented fields of a settings class."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from rserpool.settings.checks import ConfigError
from rserpool.settings.schema import Option, add_flag, options_of, read_toml, toml_template

COLOURS = {"red": 1, "blue": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Settings with a field of each kind."""

    count: int = 3
    """Number of things."""

    pause: float = 0.5
    """Seconds between
    two things."""

    report_rate: float = 5.0
    """Reports per second, with ``markup``."""

    names: tuple[str, ...] = ("a", "b")
    """Names of things."""

    enabled: bool = True
    """Do things."""

    colour: int = 2
    """Colour of things."""

    inner: object = None
    """No option, as its type has no parser."""


OPTIONS = {option.field: option for option in options_of(Example, "limits", {"colour": COLOURS})}


def test_every_field_with_a_parser_is_an_option() -> None:
    assert list(OPTIONS) == ["count", "pause", "report_rate", "names", "enabled", "colour"]


def test_names_of_an_option_follow_from_field_and_section() -> None:
    option = OPTIONS["report_rate"]
    assert (option.key, option.flag) == ("limit_report_rate", "--limit-report-rate")
    assert option.environment == "RSERPOOL_LIMIT_REPORT_RATE"
    (other, *_) = options_of(Example, "registrar", {})
    assert other.flag == "--count"


@pytest.mark.parametrize(
    ("field", "metavar", "default_text", "toml_default"),
    [
        ("count", "NUMBER", "3", "3"),
        ("pause", "SECONDS", "0.5", "0.5"),
        ("report_rate", "PER_SECOND", "5", "5.0"),
        ("names", "LIST", "a,b", '["a", "b"]'),
        ("enabled", "YES|NO", "yes", "true"),
        ("colour", "red|blue", "blue", "2"),
    ],
)
def test_type_and_default_are_described(field: str, metavar: str, default_text: str, toml_default: str) -> None:
    option = OPTIONS[field]
    assert (option.metavar, option.default_text, option.toml_default) == (metavar, default_text, toml_default)


def test_help_is_the_literal_below_the_field() -> None:
    assert OPTIONS["pause"].help == "Seconds between two things."
    assert OPTIONS["report_rate"].plain_help == "Reports per second, with markup."


@pytest.mark.parametrize(
    ("field", "given", "value"),
    [
        ("count", "0x10", 16),
        ("pause", "2", 2.0),
        ("names", "x, y,", ("x", "y")),
        ("names", ["x"], ("x",)),
        ("enabled", "Off", False),
        ("colour", "RED", 1),
    ],
)
def test_text_is_read_by_type(field: str, given: object, value: object) -> None:
    assert OPTIONS[field].read(given, "test") == value


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("count", "many", "a whole number"),
        ("count", True, "a whole number"),
        ("pause", [], "a number of seconds"),
        ("names", 5, "a list of texts"),
        ("enabled", "perhaps", "one of yes, no"),
        ("colour", "green", "one of red, blue"),
    ],
)
def test_bad_value_is_reported_with_source_and_expectation(field: str, given: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^somewhere: expected {expected}, not "):
        OPTIONS[field].read(given, "somewhere")


def test_flag_that_is_not_given_is_absent() -> None:
    parser = argparse.ArgumentParser()
    for option in OPTIONS.values():
        add_flag(parser, option)
    assert vars(parser.parse_args(["--limit-count=7"])) == {"limit_count": "7"}


def test_toml_template_sets_every_option_to_its_default(tmp_path: Path) -> None:
    options: list[Option] = [option for option in OPTIONS.values() if option.field != "colour"]
    path = tmp_path / "options.toml"
    lines = (line.removeprefix("# ") for line in toml_template(options).splitlines())
    path.write_text("\n".join(line for line in lines if line.startswith("[") or " = " in line))
    assert read_toml(path, options) == {option.key: option.default for option in options}
