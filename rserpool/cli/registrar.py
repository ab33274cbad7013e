"""``rserpool registrar``: run a pool registrar until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from rserpool.cli.collector import settle
from rserpool.cli.plugins import load_policies
from rserpool.cli.readiness import notify
from rserpool.registrar.config import OPTIONS, SECTIONS, Config, add_flags, load, spoken
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.moderation import moderation_of
from rserpool.registrar.server import Server


def add_parser(commands: Any) -> None:
    """Add the command and its flags, one for each option."""
    parser = commands.add_parser(
        "registrar",
        help="run a pool registrar",
        allow_abbrev=False,
        description="Run a pool registrar until SIGTERM or SIGINT. Every option can also stand in a TOML file "
        "(--config) or in the environment (RSERPOOL_...); the command line wins, then the environment.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with options")
    parser.add_argument(
        "--print-config", action="store_true", help="print a TOML file with every option, its meaning and default"
    )
    add_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the registrar; 0 after a clean end."""
    if arguments.print_config:
        print(documented_defaults())
        return 0
    config = load(vars(arguments), os.environ, arguments.config, secrets.randbelow(0xFFFFFFFF) + 1)
    logging.basicConfig(
        level=config.server.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    load_policies(logging.getLogger("rserpool.registrar"))
    settle()
    loop_factory = uvloop.new_event_loop if config.server.uvloop else None
    with Outputs(config.server) as outputs, asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(serve(config, outputs))


async def serve(config: Config, outputs: Outputs) -> int:
    """Serve until a signal asks for the end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    moderation = moderation_of(config.server)
    server = Server(config, moderation=moderation)
    instruments = Instruments(server, outputs)
    try:
        await server.start()
        instruments.start()
        notify("READY=1")
        await ended.wait()
        notify("STOPPING=1")
    finally:
        instruments.stop()
        await server.stop()
    counters = dict(server.registrar.counters)
    if moderation is not None and moderation.rests:
        counters["rests"] = moderation.rests
    counted = ", ".join(f"{name} {count}" for name, count in sorted(counters.items()))
    logging.getLogger("rserpool.registrar").info("ended; %s", counted or "nobody came")
    return 0


def documented_defaults() -> str:
    """A TOML file in which every option is described, and set to its default in a comment."""
    lines = []
    for section in SECTIONS:
        lines += [f"[{section}]", ""]
        for option in OPTIONS:
            if option.section == section:
                lines += [f"# {option.help}", f"# {option.field} = {toml_value(option.default)}", ""]
    return "\n".join(lines)


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and not hasattr(value, "name"):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{part}"' for part in value) + "]"
    return f'"{spoken(value)}"'
