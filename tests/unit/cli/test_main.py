"""The ``rserpool`` program: a mistake is one line on standard error and status 1."""

import pytest

from rserpool.cli.main import main, message_of


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "No such file or directory", "/nowhere/x"), "/nowhere/x: No such file or directory"),
        (OSError(98, "UDP 127.0.0.1 port 9: Address already in use"), "UDP 127.0.0.1 port 9: Address already in use"),
        (OSError("cannot bind"), "cannot bind"),
    ],
)
def test_error_is_shown_without_its_number(error: Exception, message: str) -> None:
    assert message_of(error) == message


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["resolve", ""], "POOL-HANDLE must have 1 to 255 octets"),
        (["resolve", "x" * 256], "POOL-HANDLE must have 1 to 255 octets"),
        (["resolve", "Pool", "--timeout=0"], "--timeout must be more than 0 seconds"),
        (["resolve", "Pool", "--items=0"], "--items must be a number from 1 to 0xffffffff"),
        (["resolve", "Pool", "--registrar=here"], "'here' is not an IP address"),
        (["registrar", "--config=/nowhere/file"], "/nowhere/file: No such file or directory"),
        (["registrar", "--limit-pools=0"], "limit_pools must be more than 0, not 0"),
    ],
)
def test_mistake_is_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"rserpool {arguments[0]}: ")
    assert named in shown
    assert shown.count("\n") == 1
