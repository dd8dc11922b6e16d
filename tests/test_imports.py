"""What importing difint costs, and which way its modules may import each other."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import difint

ROOT = Path(difint.__file__).parent
HEAVY = {"jax", "jaxlib", "torch", "numba", "matplotlib", "pandas", "scipy", "optree", "tqdm"}


@pytest.mark.parametrize("module", ["difint", "difint.testing", "difint.cli"])
def test_import_takes_no_ad_library_with_it(module):
    code = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not HEAVY & set(json.loads(out.stdout))


def test_finite_differences_need_no_other_package():
    code = (
        "import sys\n"
        "for name in ('jax', 'jaxlib', 'torch', 'numba'): sys.modules[name] = None\n"
        "import numpy as np, difint as di\n"
        "x = {'a': np.ones(2)}\n"
        "print(di.gradient(lambda x: (x['a'] ** 2).sum(), di.AutoFiniteDiff(), x))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout == "{'a': array([2., 2.])}\n"


def imports_of(path):
    """List the modules of difint that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("difint"):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("difint"))


def inside_functions(path):
    """List the modules of difint that a file imports inside functions only."""
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("difint"):
                    yield node.module


OUTER = ("difint.engines", "difint.testing", "difint.cli", "difint.sparse")


def test_the_core_never_imports_engines_or_tools():
    for path in [*ROOT.glob("*.py"), *(ROOT / "operators").glob("*.py")]:
        allowed = set(inside_functions(path)) if path.name == "backends.py" else set()
        allowed |= {"difint.cli"} if path.name == "__main__.py" else set()
        allowed |= {"difint.sparse"} if path == ROOT / "__init__.py" else set()
        wrong = {name for name in imports_of(path) if name.startswith(OUTER)} - allowed
        assert not wrong, (path, wrong)


def test_engines_never_import_each_other():
    for path in (ROOT / "engines").rglob("*.py"):
        own = ".".join(("difint", *path.relative_to(ROOT).with_suffix("").parts[:2]))
        engines = {name for name in imports_of(path) if name.startswith("difint.engines")}
        assert all(name.startswith(own) for name in engines - {"difint.engines"}), path


def test_sparse_imports_the_core_alone():
    for path in (ROOT / "sparse").rglob("*.py"):
        wrong = {name for name in imports_of(path) if name.startswith(OUTER[:3])}
        assert not wrong, (path, wrong)


def test_optional_packages_are_imported_only_inside_their_engine():
    for path in ROOT.rglob("*.py"):
        here = {"numba"} if "sparse" in path.parts else set()  # its algorithms on graphs
        tree = ast.parse(path.read_text())
        for node in tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            heavy = {name.partition(".")[0] for name in names} & (HEAVY - {"scipy"})
            assert not heavy - here or "engines" in path.parts, (path, heavy)


def test_all_is_what_is_public():
    public = {name for name in vars(difint) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(difint, name)).__name__ == "module"}
    assert set(difint.__all__) == public - modules
