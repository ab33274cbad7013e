"""Generated documents: up to date with the lists of options, and accepted by the programs that read them."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Sequence

import pytest

from ci.documents import DOCUMENTS, ROOT, completion, man_page, options_page
from rserpool.cli.rsplib_options import OPTIONS, RENAMED
from rserpool.registrar.config import OPTIONS as REGISTRAR_OPTIONS


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == DOCUMENTS[name](), f"{name}: run python -m ci.documents"


def test_documents_in_share_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = {name for names in project["tool"]["setuptools"]["data-files"].values() for name in names}
    assert installed == {name for name in DOCUMENTS if name.startswith("share/")}


def test_manual_page_describes_every_option() -> None:
    text = man_page()
    for option in OPTIONS:
        name = option.name.replace("-", "\\-")
        assert f"\n.TP\n\\fB\\-{name}\\fR" in text


def test_options_page_describes_every_option_of_the_registrar() -> None:
    text = options_page()
    for option in REGISTRAR_OPTIONS:
        assert f"| `{option.flag}`<br>`{option.field}`<br>`{option.environment}` |" in text


@needs("groff")
def test_manual_page_is_valid_troff() -> None:
    shown = run("groff", "-man", "-Tutf8", "-ww", "-rLL=100n", str(ROOT / "share/man/man1/rspregistrar.1"))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "RSPREGISTRAR" in shown.stdout


def completed(line: str, directory: str = ".") -> Sequence[str]:
    """The words that bash offers at the end of a line."""
    script = (
        f"source {ROOT / 'share/bash-completion/completions/rspregistrar'}; compopt() {{ :; }}; "
        'COMP_LINE=$1; COMP_POINT=${#1}; _rspregistrar; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", script, "bash", line]
    environment = {**os.environ, "LC_ALL": "C"}
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=directory, env=environment
    )
    assert shown.stderr == ""
    return shown.stdout.split()


def test_completion_offers_option_names() -> None:
    offered = {f"-{option.name}{'=' if option.value else ''}" for option in OPTIONS if option.name not in RENAMED}
    assert set(completed("rspregistrar -")) == offered
    assert completed("rspregistrar -quiet -identi") == ["-identifier="]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rspregistrar -minaddressscope=", ["loopback", "sitelocal", "global"]),
        ("rspregistrar -quiet -profile=r", ["rfc", "rsplib"]),
        ("rspregistrar -asapannounce=o", ["off"]),
        ("rspregistrar -peer=", []),
        ("rspregistrar -transport=kernel -logcolor=", ["on", "off"]),
    ],
)
def test_completion_offers_words_of_values(line: str, offered: list[str]) -> None:
    assert list(completed(line)) == offered


def test_completion_offers_files() -> None:
    assert list(completed("rspregistrar -statsfile=pypro", str(ROOT))) == ["pyproject.toml"]


@needs("shellcheck")
def test_completion_passes_shellcheck() -> None:
    checked = run("shellcheck", "--shell=bash", str(ROOT / "share/bash-completion/completions/rspregistrar"))
    assert checked.stdout == ""
    assert completion().startswith("#")


@needs("systemd-analyze")
def test_systemd_unit_is_hardened() -> None:
    unit = str(ROOT / "share/systemd/rspregistrar.service")
    checked = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert checked.returncode == 0, checked.stdout
    text = DOCUMENTS["share/systemd/rspregistrar.service"]()
    for line in ("Type=notify", "ProtectSystem=strict", "NoNewPrivileges=yes", "PrivateTmp=yes"):
        assert f"\n{line}\n" in text
