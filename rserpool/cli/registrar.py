"""``rserpool registrar``: run a pool registrar until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import uvloop

from rserpool.cli.collector import freeze_imports
from rserpool.cli.plugins import load_policies
from rserpool.cli.readiness import notify
from rserpool.cli.stopping import StopRequest
from rserpool.registrar.config import OPTIONS, Config, add_flags, load
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.moderation import moderation_of
from rserpool.registrar.server import Server
from rserpool.settings.schema import toml_template


def add_parser(commands: Any) -> None:
    """Add the command, with one flag for each option."""
    parser = commands.add_parser(
        "registrar",
        help="run a pool registrar",
        allow_abbrev=False,
        description="Run a pool registrar until SIGTERM or SIGINT. Every option can also be set in a TOML file "
        "(--config) or in the environment (RSERPOOL_...). The command line overrides the environment, which overrides "
        "the file.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with options")
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print a TOML file with every option and its default, and exit",
    )
    add_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the registrar; 0 after an orderly stop."""
    if arguments.print_config:
        print(toml_template(OPTIONS))
        return 0
    config = load(vars(arguments), os.environ, arguments.config, secrets.randbelow(0xFFFFFFFF) + 1)
    logging.basicConfig(
        level=config.server.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    load_policies(logging.getLogger("rserpool.registrar"))
    freeze_imports()
    loop_factory = uvloop.new_event_loop if config.server.uvloop else None
    with Outputs(config.server) as outputs, asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(serve(config, outputs))


async def serve(config: Config, outputs: Outputs) -> int:
    """Serve until SIGTERM or SIGINT."""
    stop = StopRequest()
    moderation = moderation_of(config.server)
    server = Server(config, moderation=moderation)
    instruments = Instruments(server, outputs)
    try:
        await server.start()
        instruments.start()
        notify("READY=1")
        await stop.requested.wait()
        notify("STOPPING=1")
    finally:
        instruments.stop()
        await server.stop()
    counters = {name: count for name, count in server.registrar.counters.items() if count}
    if moderation is not None and moderation.rests:
        counters["rests"] = moderation.rests
    counted = ", ".join(f"{name} {count}" for name, count in sorted(counters.items()))
    logging.getLogger("rserpool.registrar").info("stopped; %s", counted or "nothing happened")
    return 0
