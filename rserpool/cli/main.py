"""``rserpool``: one program with a subcommand for each task."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from rserpool._version import __version__
from rserpool.cli import proxy_pe, proxy_pu, registrar, resolve
from rserpool.errors import RSerPoolError

COMMANDS = (registrar, resolve, proxy_pu, proxy_pe)


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line and exits with status 1."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit."""
        self.exit(1, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. A user's mistake is one line on standard error and status 1."""
    parser = Parser(prog="rserpool", description="Reliable Server Pooling (RFC 5351-5356).", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"rserpool {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (RSerPoolError, OSError) as error:
        print(f"rserpool {parsed.command}: {message_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def message_of(error: Exception) -> str:
    """The text of an error for the user. That of an OSError leaves out its number, and has its file name if any."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
