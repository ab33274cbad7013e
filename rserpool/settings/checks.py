"""Range checks that the settings classes share. Each raises ConfigError with one line that names the setting."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from rserpool.errors import LocalProtocolError

LARGEST_NUMBER = 0xFFFFFFFF
"""The largest 32-bit number, the width of most counts on the wire."""


class ConfigError(LocalProtocolError):
    """An option or a setting has a value that cannot be used; the text is one line for the operator."""


def check_positive(
    settings: Any, names: Iterable[str] = (), *, may_be_zero: Iterable[str] = (), prefix: str = ""
) -> None:
    """Check that numbers are more than 0, or at least 0 for the names in ``may_be_zero``. Checks the fields ``names``,
    or every field that holds a number. Messages name a field with the ``prefix``."""
    zeros = frozenset(may_be_zero)
    for name in tuple(names) or tuple(field.name for field in fields(settings)):
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name in zeros:
            check(value >= 0, prefix + name, "must be 0 or more", value)
        else:
            check(value > 0, prefix + name, "must be more than 0", value)


def check_range(settings: Any, names: Iterable[str], lowest: float, highest: float) -> None:
    """Check that fields lie within a range, both ends included."""
    for name in names:
        value = getattr(settings, name)
        check(lowest <= value <= highest, name, f"must be a number from {written(lowest)} to {written(highest)}", value)


def check(holds: bool, name: str, rule: str, value: object = None) -> None:
    """Raise ConfigError unless the rule holds. The message has the value unless it is None. NaN breaks every rule."""
    if not holds:
        raise ConfigError(f"{name} {rule}" + ("" if value is None else f", not {value}"))


def written(number: float) -> str:
    """A bound as an error message shows it: large whole numbers in hexadecimal."""
    return hex(number) if isinstance(number, int) and number > 0xFFFF else str(number)
