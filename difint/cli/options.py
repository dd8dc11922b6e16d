"""The options that say which function, at which point, on which backends."""

from __future__ import annotations

import argparse
from typing import Any

from difint.operators import OPERATORS


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what says which function, at which point, with which operator and backends."""
    command.add_argument(
        "function", metavar="MODULE:FUNCTION", help="a module or a file, and a name in it"
    )
    command.add_argument(
        "--x",
        required=True,
        metavar="EXPR",
        help="the point, in Python (write --x=-1.0 if it begins with a minus)",
    )
    command.add_argument(
        "--operator", required=True, choices=list(OPERATORS), help="what to compute"
    )
    command.add_argument("--t", metavar="EXPR", help="the tangent; made up if there is none")
    command.add_argument("--y", metavar="EXPR", help="the output that an in-place function fills")
    command.add_argument(
        "--constant", dest="contexts", action=_ContextAction, metavar="EXPR", help="a Constant"
    )
    command.add_argument(
        "--cache", dest="contexts", action=_ContextAction, metavar="EXPR", help="a Cache"
    )
    command.add_argument(
        "--backends", nargs="+", metavar="BACKEND", help='e.g. "AutoJax(x64=True)"; all by default'
    )


class _ContextAction(argparse.Action):
    """Collects contexts in the order of the command line: the order of the arguments of ``f``."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        listed = [*(getattr(namespace, self.dest) or []), (option_string, values)]
        setattr(namespace, self.dest, listed)
