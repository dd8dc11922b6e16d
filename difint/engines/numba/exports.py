"""Exports: the compiled sweep for code that is not Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from difint.engine import Export
from difint.engines.numba.entries import Door
from difint.signature import Argument


@final
@dataclass(frozen=True, slots=True)
class NumbaExport(Export):
    """Compiles, when first asked, what a plan offers to compiled code."""

    door: Door
    contexts: tuple[Argument, ...]
    made: dict[str, Any]

    def kernel(self) -> Any:
        """Compile ``kernel(x, [t,] contexts..., out)`` for ``numba.njit`` functions."""
        if "kernel" not in self.made:
            names, unpacked = [place.name for place in self.door.inputs], []
            unpacked += names
            leaves = iter(self.door.leaves)
            for i, context in enumerate(self.contexts):
                names.append(f"context{i}")
                for path in context.paths:
                    text = f"context{i}{path[len(context.name) :]}"
                    leaf = next(leaves)
                    frozen = leaf.is_array and not leaf.ty.mutable
                    unpacked.append(f"frozen({text})" if frozen else text)
            names.append("out")
            self.made["kernel"] = self.door.for_compiled_code(names, [*unpacked, "out"])
        return self.made["kernel"]

    def c_function(self) -> Any:
        """Compile the C function."""
        if "c" not in self.made:
            self.made["c"] = self.door.for_c()
        return self.made["c"]
