"""The command line: ``python -m difint demo`` and ``python -m difint backends``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TypeAlias

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; ``None`` for those of the process.

    Returns:
        The exit code: 0, or 1 if a solver of the demo did not reach the end point.

    Raises:
        SystemExit: the arguments are wrong (code 2), or ask for help (code 0).
    """
    args = _parser().parse_args(argv)
    command: int = args.command(as_json=args.json)
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="difint", description="One interface to many automatic-differentiation backends."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    _add(commands, "demo", _demo, "solve three stiff problems with each backend's Jacobians")
    _add(commands, "backends", _backends, "list the backends, and what brings the missing ones")
    return parser


def _add(commands: _Commands, name: str, run: Callable[..., int], text: str) -> None:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--json", action="store_true", help="print one JSON document instead")
    command.set_defaults(command=run)


# The imports stand inside the commands, so that listing backends does not wait for SciPy.
def _demo(*, as_json: bool) -> int:
    from difint.cli.demo import main

    return main(as_json=as_json)


def _backends(*, as_json: bool) -> int:
    from difint.cli.listing import main

    return main(as_json=as_json)
