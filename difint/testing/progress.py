"""A bar of progress on long runs, by tqdm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def bar(items: Sequence[_Item], what: str, progress: bool | None) -> Iterable[_Item]:
    """Go through items behind a bar on standard error.

    Args:
        items: what to go through.
        what: what is done with them.
        progress: show it or not; ``None`` to show it on a terminal alone.
    """
    if progress is False or len(items) < 2:
        return items
    from tqdm import tqdm

    shown: Iterable[_Item] = tqdm(
        items, desc=what, leave=False, disable=None if progress is None else False
    )
    return shown
