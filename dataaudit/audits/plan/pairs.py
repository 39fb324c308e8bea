"""What an audit of training and test rows would take: as one of labels to the fit, then stages of its own.

How long causes are sought for depends on how many there are: figures are of tables that have a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dataaudit.audits.plan.costs import FIGURES as FIXED
from dataaudit.audits.plan.costs import FLOAT, USUAL, Costs, Shape, Speeds, Stage, Work, seconds_of
from dataaudit.audits.plan.sample import RowSample, sample_rows
from dataaudit.audits.sides import is_training
from dataaudit.data.dataset import Wanted
from dataaudit.features import Role
from dataaudit.memory import FEWEST_SEARCHED, SEARCHED, memory_limit
from dataaudit.options import PlanOptions

# As in `mismatch`, which needs torch: test rows that are traced, and rows that are searched.
TRACED, SEARCHED_ROWS = 5000, 200_000
WRONG: Final = 0.2  # of the test rows
BEFORE: Final = (
    "read",
    "encode",
    "screen bases",
    "choose basis",
    "choose λ",
    "write features",
    "fit",
    "invert",
)
IMPORTING: Final = ("encode", "screen bases")
IMPORTED: Final = 0.85  # of what these take, whatever the rows
FIXES: Final = 800  # products with the rows that all fixes take that are tried
REFIT: Final = 110  # and a refit
MEMBERS: Final = 4.2  # slices that a number is in; a level is in one
ENTRY: Final = 36  # bytes of a row in a slice, and of its copies while slices are put together
KEPT: Final = 60 * 2**20  # bytes of what is read in and left by products

# As `costs.FIGURES`: seconds, fixed and per 1e9 of dense work, sparse work and bytes that are looked at.
FIGURES: Final[dict[str, tuple[float, float, float, float]]] = {
    "predict": (0.02, 0.1, 0.0, 0.0),
    "trace": (0.8, 0.01, 0.7, 0.3),
    "slices": (2.6, 0.03, 0.7, 22.0),
    "try fixes": (0.2, 0.03, 0.7, 0.0),
    "score rows": (0.1, 0.0, 0.0, 140.0),
    "shift": (1.6, 0.0, 0.0, 1.0),
    "verify by refits": (0.3, 0.05, 0.7, 0.0),
    "explain": (0.25, 0.1, 0.7, 0.0),
    "write": (0.6, 0.0, 0.0, 15.0),
}


@dataclass(frozen=True, slots=True)
class Sides:
    """How many rows of a table, or of two, are trained on, and how many are tested."""

    train: RowSample
    test: int


def sides_of(train: RowSample, test: Any, *, wanted: Wanted, options: PlanOptions) -> Sides:
    """Return the two sides of an audit, of two sources or of one that is split."""
    if test is not None:
        return Sides(train, sample_rows(test, replace(wanted, target="", lenient=True)).rows)
    size, share = options.test_size, 0.5
    if options.split_column in train.frame.columns:
        share = 1.0 - float(is_training(train.frame[options.split_column]).to_numpy().mean())
    elif size is not None:
        share = size if size < 1 else size / train.rows
    known = train.frame.drop(options.split_column or (), strict=False)
    trained = replace(train, frame=known, rows=round((1.0 - share) * train.rows))
    return Sides(trained, round(share * train.rows))


def pair_costs(
    fitted: Costs,  # of an audit of labels on the training rows
    shape: Shape,
    test: int,
    *,
    roles: Sequence[Role],
    options: PlanOptions,
    speeds: Speeds,
) -> Costs:
    """Count what an audit takes that fits the training rows and looks at test rows."""
    before = tuple(_without_imports(stage, speeds) for stage in fitted.stages if stage.name in BEFORE)
    own = (
        _explained(fitted, shape)
        if options.audit == "explain"
        else _traced(fitted, shape, test, roles, options)
    )
    rows = max(stage.bytes for stage in before if stage.name in ("fit", "read"))
    some = 0 if options.audit == "explain" else searched(shape.rows, len(roles), shape.features)
    after = tuple(
        Stage(name, seconds_of(FIGURES[name], units, speeds), rows + _bytes(name, shape, roles, some))
        for name, units in own.items()
    )
    return replace(fitted, stages=before + after)


def _without_imports(stage: Stage, speeds: Speeds) -> Stage:
    """Return a stage without the libraries that an audit of labels reads in meanwhile."""
    if stage.name not in IMPORTING:
        return stage
    fixed = IMPORTED * FIXED[stage.name][0]
    return replace(stage, seconds=stage.seconds - fixed * USUAL.python / speeds.python)


def searched(rows: int, columns: int, features: int) -> int:
    """Return how many of the rows are searched for slices, as `mismatch.excerpt` does."""
    most = max(FEWEST_SEARCHED, memory_limit() // (4 * (SEARCHED * columns + FLOAT * features)))
    return min(rows, SEARCHED_ROWS, most)


def _explained(fitted: Costs, shape: Shape) -> dict[str, Work]:
    """Return the work of the stages of an explanation; solves are in single precision."""
    solves = 0.25 * fitted.size.explained_work if fitted.method == "solves" else 0.0
    return {"explain": (20.0 * shape.rows * shape.features + solves, 0.0, 0.0), "write": (0.0, 0.0, 0.0)}


def _traced(
    fitted: Costs, shape: Shape, test: int, roles: Sequence[Role], options: PlanOptions
) -> dict[str, Work]:
    """Return the work of the stages of an audit of a mismatch."""
    size, used = fitted.size, len(roles)
    wrong = min(TRACED, int(WRONG * test))
    some = searched(size.n, used, shape.features)

    def products(times: float) -> Work:
        done = times * size.numbers
        return (0.0, done, 0.0) if size.entries else (done, 0.0, 0.0)

    forms = 2.0 * size.n * float(min(size.p, size.n)) ** 2
    dense, sparse, _ = products(float(wrong * size.k))
    return {
        "predict": (float(test * size.d), 0.0, 0.0),
        "trace": (dense, sparse, 8.0 * size.n * wrong),
        "slices": (0.5 * forms, 0.0, 100.0 * some * used),
        "try fixes": products(FIXES * some / size.n),
        "score rows": (0.0, 0.0, 100.0 * size.n),
        "shift": (0.0, 0.0, 16.0 * some * used),
        "verify by refits": products(REFIT * options.verify),
        "write": (0.0, 0.0, 0.0),
    }


def _bytes(name: str, shape: Shape, roles: Sequence[Role], some: int) -> int:
    """Return the bytes of a stage beyond those of the rows, some of which are searched."""
    numbers = sum(role.role in ("numeric", "datetime") for role in roles)
    slices = int(ENTRY * some * (MEMBERS * numbers + len(roles) - numbers))
    own = {"slices": slices, "try fixes": slices // 2, "trace": FLOAT * shape.rows * (shape.features + 1)}
    return own.get(name, 0) + (KEPT if some else 0)
