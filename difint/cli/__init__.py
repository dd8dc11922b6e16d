"""The command line: ``python -m difint``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from difint.cli.options import add_options
from difint.errors import DifintError

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; ``None`` for those of the process.

    Returns:
        The exit code: 0; 1 if a solver of the demo did not reach the end point, if backends
        disagree, or if none could do what was asked; 2 if an argument cannot be used.

    Raises:
        SystemExit: the arguments are wrong (code 2), or ask for help (code 0).
    """
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except DifintError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="difint", description="One interface to many automatic-differentiation backends."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    demo = _add(commands, "demo", _demo, "solve four stiff problems with each backend's Jacobians")
    listing = _add(commands, "backends", _backends, "list the backends, and what brings the rest")
    bench = _add(commands, "bench", _bench, "measure a function of yours on every backend")
    check = _add(commands, "check", _check, "see whether backends agree on a function of yours")
    for command in (demo, listing):
        command.add_argument("--json", action="store_true", help="print one JSON document instead")
    listing.add_argument("--gaps", action="store_true", help="say what each cannot differentiate")
    for command in (bench, check):
        add_options(command)
    bench.add_argument("--seconds", type=_positive, default=0.2, help="how long to measure a row")
    bench.add_argument("--full", action="store_true", help="measure one-shot functions too")
    check.add_argument("--quick", action="store_true", help="compare results, and nothing else")
    bench.add_argument("--json", metavar="FILE", help="save the table as JSON")
    bench.add_argument("--plot", metavar="FILE.png", help="save a chart; needs the extra plot")
    return parser


def _positive(text: str) -> float:
    if not float(text) > 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return float(text)


def _add(
    commands: _Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(command=run)
    return command


# The imports stand inside the commands, so that listing backends does not wait for SciPy.
def _demo(args: argparse.Namespace) -> int:
    from difint.cli.demo import main

    return main(as_json=args.json)


def _backends(args: argparse.Namespace) -> int:
    from difint.cli.listing import main

    return main(as_json=args.json, gaps=args.gaps)


def _bench(args: argparse.Namespace) -> int:
    from difint.cli.bench import main

    return main(args)


def _check(args: argparse.Namespace) -> int:
    from difint.cli.check import main

    return main(args)
