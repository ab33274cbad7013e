"""Turns the documented fields of settings classes into options: flags, environment variables, TOML keys and docs.

A field's type chooses the parser, its default becomes the option's default, and the string literal below it becomes the
help text. So a new field in a settings class is a new option everywhere, with no second list to maintain.
"""

import argparse
import ast
import inspect
import textwrap
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from rserpool.settings.checks import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its TOML section and field, default, help text and parser."""

    section: str
    field: str
    default: object
    default_text: str
    """The default as help texts show it; empty if the default is an empty text or list."""
    help: str
    parse: Callable[[object], object]
    metavar: str

    @property
    def key(self) -> str:
        """The option's name among all options, as ``rserpool.Registrar`` takes it."""
        return self.field if self.section != "limits" else f"limit_{self.field}"

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--" + self.key.replace("_", "-")

    @property
    def environment(self) -> str:
        """The environment variable."""
        return "RSERPOOL_" + self.key.upper()

    @property
    def plain_help(self) -> str:
        """The help text without markup."""
        return self.help.replace("``", "")

    @property
    def toml_default(self) -> str:
        """The default as a TOML value."""
        if isinstance(self.default, tuple):
            return "[" + ", ".join(f'"{part}"' for part in self.default) + "]"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return repr(self.default) if type(self.default) in (int, float) else f'"{self.default_text}"'

    def read(self, value: object, source: str) -> object:
        """The value in its own type. Raises ConfigError, which names the source."""
        try:
            return self.parse(value)
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{source}: expected {expectation(self.metavar)}, not {value!r}{reason(error)}") from None


def expectation(metavar: str) -> str:
    """The kind of value that a metavar stands for, for an error message."""
    kinds = {
        "NUMBER": "a whole number",
        "SECONDS": "a number of seconds",
        "PER_SECOND": "a number",
        "NAME": "text",
        "LIST": "a list of texts",
    }
    return kinds.get(metavar) or "one of " + metavar.replace("|", ", ").lower()


def reason(error: Exception) -> str:
    """The text of a parser's own ValueError in brackets; Python's own messages for numbers add nothing."""
    text = str(error.args[0]) if error.args and isinstance(error, ValueError) else ""
    return f" ({text})" if text and "literal" not in text and "convert" not in text else ""


# Parsers, one for each type of field


def whole_number(value: object) -> int:
    """A whole number, or its decimal or 0x text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value, 0) if isinstance(value, str) else value


def number(value: object) -> float:
    """A number, or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError
    return value


SWITCHES = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}


def switch(value: object) -> bool:
    """A boolean, or a word for one."""
    return value if isinstance(value, bool) else SWITCHES[text(value).lower()]


def texts(value: object) -> tuple[str, ...]:
    """A TOML list, or a text with commas; an empty text is an empty list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(text(part) for part in value)
    raise TypeError


def chooser(named: Mapping[str, object]) -> Callable[[object], object]:
    """A parser for a word that names a value."""
    return lambda value: named[text(value).lower()]


PARSERS: dict[Any, tuple[Callable[[object], object], str]] = {
    int: (whole_number, "NUMBER"),
    float: (number, "SECONDS"),
    str: (text, "NAME"),
    bool: (switch, "YES|NO"),
    tuple[str, ...]: (texts, "LIST"),
}


# From classes to options


def field_texts(cls: type) -> dict[str, str]:
    """The string literal below each field of a class, as one line."""
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
    """The options of one settings class. ``choices`` maps a field to the words that it accepts and the value of each. A
    field without choices whose type has no parser is not an option."""
    hints = typing.get_type_hints(cls)
    helps = field_texts(cls)
    found = []
    for field in fields(cls):
        words = choices.get(field.name, {})
        if words:
            parse, metavar = chooser(words), "|".join(words)
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
                default_text=default_text(field.default, words),
                help=helps[field.name],
                parse=parse,
                metavar=metavar,
            )
        )
    return found


def default_text(value: object, words: Mapping[str, object]) -> str:
    """A default as help texts show it."""
    for word, meaning in words.items():
        if value == meaning:
            return word
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# Sources of values


def add_flag(parser: argparse._ActionsContainer, option: Option, *, required: bool = False) -> None:
    """Add an option's flag. If it is not given, its key is absent from the parsed namespace."""
    default = "" if required else f" Default: {option.default_text or 'none'}."
    parser.add_argument(
        option.flag,
        dest=option.key,
        metavar=option.metavar,
        required=required,
        default=argparse.SUPPRESS,
        help=f"{option.plain_help}{default}".replace("%", "%%"),
    )


def read_toml(path: Path, options: Iterable[Option]) -> dict[str, object]:
    """The options that a TOML file sets, by key. Raises ConfigError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    known = {(option.section, option.field): option for option in options}
    sections = dict.fromkeys(section for section, _ in known)
    found: dict[str, object] = {}
    for section, entries in document.items():
        if section not in sections or not isinstance(entries, dict):
            raise ConfigError(f"{path}: unknown section [{section}]; known sections: {', '.join(sections)}")
        for name, value in entries.items():
            option = known.get((section, name))
            if option is None:
                raise ConfigError(f"{path}: section [{section}] has no option {name}")
            found[option.key] = option.read(value, f"{path}: {name}")
    return found


def toml_template(options: Sequence[Option]) -> str:
    """A TOML file with every option, its help text, and its default in a comment."""
    lines = []
    for section in dict.fromkeys(option.section for option in options):
        lines += [f"[{section}]", ""]
        for option in options:
            if option.section == section:
                lines += [f"# {option.plain_help}", f"# {option.field} = {option.toml_default}", ""]
    return "\n".join(lines)
