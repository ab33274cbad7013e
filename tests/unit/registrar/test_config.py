"""The registrar's configuration: defaults, file, environment and flags."""

import argparse
import tomllib
from pathlib import Path

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.model.addresses import Scope
from rserpool.registrar.config import OPTIONS, add_flags, load
from rserpool.settings.checks import ConfigError
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RSPLIB
from rserpool.settings.schema import toml_template

RANDOM_IDENTIFIER = 0xABCDEF01


def flags(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(arguments))


def test_defaults_without_any_source() -> None:
    config = load({}, {}, None, RANDOM_IDENTIFIER)
    assert config.settings.identifier == RANDOM_IDENTIFIER
    assert config.settings.limits == Limits()
    assert config.server.announce == ("224.0.1.185:3863", "239.0.0.50:3863", "[ff05::133]:3863")


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    path = tmp_path / "registrar.toml"
    path.write_text(
        "[registrar]\nidentifier = 0x11\nprofile = 'rsplib'\nkeep_alive_interval = 1\nkeep_alive_timeout = 2\n"
        "asap = ['10.0.0.1:4000', '10.0.0.2:4000']\n[limits]\npools = 7\n"
    )
    environment = {"RSERPOOL_KEEP_ALIVE_INTERVAL": "3", "RSERPOOL_KEEP_ALIVE_TIMEOUT": "4"}
    config = load(flags("--keep-alive-timeout=5", "--limit-subscriptions=0x10"), environment, path, RANDOM_IDENTIFIER)
    assert config.settings.identifier == 0x11
    assert config.settings.profile is RSPLIB
    assert config.settings.keep_alive_interval == 3
    assert config.settings.keep_alive_timeout == 5
    assert config.server.asap == ("10.0.0.1:4000", "10.0.0.2:4000")
    assert config.settings.limits.pools == 7
    assert config.settings.limits.subscriptions == 16


def test_flags_accept_words_and_lists() -> None:
    config = load(flags("--address-scope=loopback", "--announce=", "--tcp=off", "--asap=127.0.0.1,::1"), {}, None, 1)
    assert config.settings.address_scope is Scope.LOOPBACK
    assert config.server.announce == ()
    assert not config.server.tcp
    assert config.server.asap == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--identifier=0x1ffffffff", "identifier"),
        ("--identifier=many", "--identifier"),
        ("--keep-alive-interval=0", "keep_alive_interval"),
        ("--keep-alive-interval=soon", "--keep-alive-interval"),
        ("--profile=osi", "--profile"),
        ("--announce-ttl=0", "announce_ttl"),
        ("--limit-pools=-1", "pools"),
        ("--tcp=perhaps", "--tcp"),
    ],
)
def test_bad_flag_is_reported_in_one_line_with_its_name(flag: str, named: str) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        load(flags(flag), {}, None, RANDOM_IDENTIFIER)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "[registrar]\nidentifire = 1",
        "[regitsrar]\nidentifier = 1",
        "identifier = 1",
        "[registrar",
        "[limits]\npools = 'x'",
    ],
)
def test_bad_file_is_reported_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load({}, {}, path, RANDOM_IDENTIFIER)


def test_missing_file_is_reported() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load({}, {}, Path("/nowhere/registrar.toml"), RANDOM_IDENTIFIER)


def test_printed_configuration_has_every_option_with_its_default(tmp_path: Path) -> None:
    text = toml_template(OPTIONS)
    for option in OPTIONS:
        assert len(option.help) > 40, option.key
        assert option.plain_help in text
    uncommented = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line or line[:1] == "[")
    path = tmp_path / "defaults.toml"
    lines = [line for line in uncommented.splitlines() if line[:1] == "[" or line.split(" = ")[0].isidentifier()]
    path.write_text("\n".join(lines))
    assert tomllib.loads(path.read_text())
    assert load({}, {}, path, RANDOM_IDENTIFIER) == load({}, {}, None, RANDOM_IDENTIFIER)
