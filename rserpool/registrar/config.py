"""The registrar's configuration: defaults, overridden by a TOML file, then the environment, then the command line."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rserpool.settings.choices import LOG_LEVELS, SCOPES, TRANSPORTS
from rserpool.settings.limits import Limits
from rserpool.settings.profile import PROFILES
from rserpool.settings.registrar import Settings
from rserpool.settings.schema import Option, add_flag, options_of, read_toml
from rserpool.settings.server import ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A registrar's whole configuration, checked."""

    server: ServerOptions = field(default_factory=ServerOptions)
    settings: Settings


OPTIONS: tuple[Option, ...] = (
    *options_of(ServerOptions, "registrar", {"transport": TRANSPORTS, "log_level": LOG_LEVELS}),
    *(
        option
        for option in options_of(Settings, "registrar", {"profile": PROFILES, "address_scope": SCOPES})
        if option.field not in ("identifier", "identifier_drawn")
    ),
    *options_of(Limits, "limits", {}),
)
"""Every option of ``rserpool registrar`` and of ``rserpool.Registrar``."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each option, grouped by section."""
    groups = {section: parser.add_argument_group(section) for section in dict.fromkeys(o.section for o in OPTIONS)}
    for option in OPTIONS:
        add_flag(groups[option.section], option)


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], path: Path | None, random_identifier: int
) -> Config:
    """Combine all sources. ``random_identifier`` is used if no source sets an identifier. Raises ConfigError for a
    value that cannot be read or is out of range."""
    values: dict[str, object] = {option.key: option.default for option in OPTIONS}
    if path is not None:
        values.update(read_toml(path, OPTIONS))
    for option in OPTIONS:
        if option.environment in environment:
            values[option.key] = option.read(environment[option.environment], option.environment)
        if option.key in flags:
            values[option.key] = option.read(flags[option.key], option.flag)
    return build(values, random_identifier)


def build(values: Mapping[str, object], random_identifier: int) -> Config:
    """Build the configuration from a value for each option. Raises ConfigError for one out of range."""

    def values_of(cls: Any, section: str) -> dict[str, Any]:
        names = {field.name for field in fields(cls)}
        return {
            option.field: values[option.key]
            for option in OPTIONS
            if option.section == section and option.field in names
        }

    server = ServerOptions(**values_of(ServerOptions, "registrar"))
    settings = values_of(Settings, "registrar")
    settings |= {"identifier": server.identifier or random_identifier, "identifier_drawn": not server.identifier}
    return Config(server=server, settings=Settings(**settings, limits=Limits(**values_of(Limits, "limits"))))
