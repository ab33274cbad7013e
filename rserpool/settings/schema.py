"""One list of options, read off the documented fields of the settings classes; flags, environment and TOML follow."""

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from rserpool.errors import LocalProtocolError


class ConfigError(LocalProtocolError):
    """An option that cannot be taken; its text is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: where it stands in TOML, what it is called, how its text is read and what it does."""

    section: str
    field: str
    default: object
    help: str
    parse: Callable[[object], object]
    metavar: str

    @property
    def key(self) -> str:
        return self.field if self.section != "limits" else f"limit_{self.field}"

    @property
    def flag(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def environment(self) -> str:
        return "RSERPOOL_" + self.key.upper()

    def read(self, value: object, source: str) -> object:
        """The value in its own type; ConfigError names the source of one that cannot be read."""
        try:
            return self.parse(value)
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{source}: {value!r} is no {self.metavar.lower()}{reason(error)}") from None


def reason(error: Exception) -> str:
    text = str(error.args[0]) if error.args and isinstance(error, ValueError) else ""
    return f" ({text})" if text and "literal" not in text and "convert" not in text else ""


def whole_number(value: object) -> int:
    """A number, or its decimal or 0x text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value, 0) if isinstance(value, str) else value


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}[
        text(value).lower()
    ]


def texts(value: object) -> tuple[str, ...]:
    """A TOML list, or text with commas; the empty text is the empty list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(text(part) for part in value)
    raise TypeError


PARSERS: dict[Any, tuple[Callable[[object], object], str]] = {
    int: (whole_number, "NUMBER"),
    float: (number, "SECONDS"),
    str: (text, "NAME"),
    bool: (switch, "YES|NO"),
    tuple[str, ...]: (texts, "LIST"),
}


def field_texts(cls: type) -> dict[str, str]:
    """The text under each field of a class, one line each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    name = None
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name is not None:
            found[name] = " ".join(str(node.value.value).split())
    return found


def options_of(cls: Any, section: str, choices: Mapping[str, Mapping[str, object]]) -> list[Option]:
    """The options of one settings class. ``choices`` holds, for a field whose values have names, those names; a field
    of another type than those of PARSERS and without choices is no option."""
    hints = typing.get_type_hints(cls)
    helps = field_texts(cls)
    found = []
    for field in fields(cls):
        if field.name in choices:
            named = choices[field.name]
            parse: Callable[[object], object] = chooser(named)
            metavar = "|".join(named)
        elif hints[field.name] in PARSERS and field.default is not MISSING:
            parse, metavar = PARSERS[hints[field.name]]
            if hints[field.name] is float and field.name.endswith(("_rate", "_per_second")):
                metavar = "PER_SECOND"
        else:
            continue
        found.append(
            Option(
                section=section,
                field=field.name,
                default=field.default,
                help=helps[field.name],
                parse=parse,
                metavar=metavar,
            )
        )
    return found


def chooser(named: Mapping[str, object]) -> Callable[[object], object]:
    return lambda value: named[text(value).lower()]
