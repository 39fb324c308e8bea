"""What each stage of an audit takes, in seconds and bytes, of rows that are known by their sizes alone.

A stage is counted in four kinds of work: multiplications of dense matrices, stored numbers of sparse ones
that are multiplied, bytes of cells that are looked at, and Python. A machine is measured by how fast it does
a little of each (`measured`); the figures of a stage, which `tests/benchmarks/plan.py` fits, say how many
seconds a unit takes on one machine. So what holds there holds on another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy.sparse import random_array

from dataaudit.features import Columns
from dataaudit.memory import memory_limit
from dataaudit.model.costs import PROBES, Route, Size, route
from dataaudit.options import TrainingOptions
from dataaudit.training.encoded import Training

WIDE, BLOCK_NUMBERS = 3000, 4e7  # as in `selection`, which needs torch: more features than this are not dense
PATH_ROWS, LANDMARKS, PARAMETERS = 20_000, 500, 2000
SHORT_ROWS = 2000
OFTEN: Final = 0.8  # part of the splines and RBF features to reckon with: these may be chosen or not
FOLDED: Final = 2.5
PASSES: Final = 10  # over rows on disk, to a minimum
LIBRARIES: Final = 420 * 2**20  # bytes of Python with all that an audit imports
ROW: Final = 900  # bytes of a row's scores and findings, and of their copies while they are written
ENTRY, FLOAT = 12, 8
ALIKE_BYTES, ALIKE_ROWS = 256 << 20, 64  # as in `evidence`, which needs torch
CUT_BYTES, KEPT = 64 << 20, 4  # of texts that are cut at a time, and bytes of words for each

Way = Route | Literal["solves"]  # of few rows alone, for an explanation
Work = tuple[float, float, float]  # multiplications dense and sparse, bytes looked at

# Seconds on the machine of which `USUAL` are the speeds: fixed, and per 1e9 units of dense work, sparse work
# and looked-at bytes.
FIGURES: Final[dict[str, tuple[float, float, float, float]]] = {
    "read": (0.07, 0.0, 0.0, 1.0),
    "encode": (1.0, 0.0, 0.0, 100.0),
    "screen bases": (1.3, 0.03, 0.0, 0.0),
    "choose basis": (0.5, 0.035, 0.0, 0.0),
    "choose λ": (0.5, 0.09, 0.7, 0.0),
    "write features": (0.1, 0.0, 0.0, 3.0),
    "fit": (0.3, 0.03, 0.7, 0.0),
    "invert": (0.1, 0.1, 0.0, 1.0),
    "score rows": (0.3, 0.03, 0.7, 0.0),
    "solve for the first rows": (0.3, 0.1, 0.7, 0.0),
    "verify by refits": (0.1, 0.02, 0.2, 0.0),
    "evidence": (0.6, 0.1, 0.7, 0.0),
    "tables": (0.15, 0.0, 0.0, 20.0),
    "write": (0.7, 0.0, 0.0, 15.0),
}
ORDER: Final = tuple(FIGURES)


@dataclass(frozen=True, slots=True)
class Speeds:
    """What a machine does in a second."""

    dense: float  # multiplications of a dense product
    sparse: float  # stored numbers times columns of a sparse product
    cells: float  # bytes of cells that are hashed
    python: float  # passes through a short loop


USUAL: Final = Speeds(dense=3e10, sparse=2.5e9, cells=6.7e9, python=3.4e7)


def measured() -> Speeds:
    """Measure this machine, in about 0.2 s: a core of it, since others may be busy just now."""
    random = np.random.default_rng(0)
    A, X = random.random((64, 64)), random_array((4000, 4000), density=0.01, format="csr", rng=random)
    B, words = random.random((4000, 8)), pl.Series(random.integers(2**40, size=200_000)).cast(pl.String)
    size = words.estimated_size()
    return Speeds(
        dense=cores() * 64**3 / _best(lambda: A @ A),  # so small a product is never shared among cores
        sparse=8 * X.nnz / _best(lambda: X @ B),
        cells=size / _best(words.hash),
        python=20_000 / _best(lambda: sum(i & 1 for i in range(20_000))),
    )


def cores() -> float:
    """Return how many cores a dense product is worth."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return float((min(int(given), there) if given.isdigit() and int(given) else there) ** 0.8)


def _best(run: Callable[[], object]) -> float:
    """Return the least seconds of a few runs."""
    taken = list[float]()
    end = time.perf_counter() + 0.04
    while len(taken) < 2 or time.perf_counter() < end:  # noqa: PLR2004 - the first warms up
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of an audit of labels, once they are encoded."""

    rows: int
    classes: int
    cells: int  # bytes of all columns
    texts: int  # bytes of those that are running text
    numeric: int  # features that are numbers
    vectors: int
    levels: int
    entries_of_levels: int  # stored numbers
    terms: int
    entries_of_terms: int

    @property
    def features(self) -> int:
        """All features, before splines and RBF features."""
        return self.numeric + self.vectors + self.levels + self.terms

    @property
    def is_sparse(self) -> bool:
        """Whether the design matrix is sparse, or too wide for bases to be compared."""
        d, K = self.features, self.classes
        wide = d > WIDE if K == 2 else K * d**2 > BLOCK_NUMBERS  # noqa: PLR2004
        return self.terms > 0 or wide

    @property
    def encoded(self) -> int:
        """Bytes of the encoded columns."""
        dense = FLOAT * self.rows * (self.numeric + self.vectors)
        return dense + ENTRY * (self.entries_of_levels + self.entries_of_terms) + 8 * self.rows

    def design(self, basis: str, limit: int) -> Size:
        """Return the design matrix: with some of the RBF features that are open, as they may be chosen."""
        k = self.classes - 1
        if self.is_sparse:
            dense = self.rows * (self.numeric + self.vectors)
            return Size(self.rows, self.features, k, dense + self.entries_of_levels + self.entries_of_terms)
        room = min(PARAMETERS // max(1, k), min(2**30, limit // 4) // (FLOAT * self.rows)) - self.features
        splines = 6 * self.numeric if basis in ("auto", "spline") and room > 6 * self.numeric else 0
        rbf = max(0, min(LANDMARKS, room - splines)) if basis in ("auto", "rbf") else 0
        return Size(self.rows, self.features + round(OFTEN * max(splines, rbf)), k)


def foreseen(training: Training, settings: TrainingOptions) -> dict[str, float]:
    """Return about how many seconds the stages to come take, on a machine as the figures were fitted on."""
    columns = training.columns
    if not isinstance(columns, Columns):  # on disk, where passes are counted
        return {}
    shape = Shape(
        rows=columns.n,
        classes=len(training.target.classes),
        cells=0,
        texts=0,
        numeric=columns.numeric.shape[1],
        vectors=columns.vectors.shape[1],
        levels=columns.levels.shape[1],
        entries_of_levels=columns.levels.nnz,
        terms=columns.terms.shape[1],
        entries_of_terms=columns.terms.nnz,
    )
    here = replace(USUAL, dense=USUAL.dense * cores())
    found = costs(shape, asked_of(settings), limit=memory_limit(), speeds=here)
    return {stage.name: stage.seconds for stage in found.stages}


def asked_of(settings: TrainingOptions) -> Asked:
    """Return what of the options decides on the costs."""
    top, verify = getattr(settings, "top", 0), getattr(settings, "verify", 0)
    few = getattr(settings, "audit", "") == "explain" and settings.solver == "auto" and not settings.damping
    return Asked(settings.basis, settings.l2 is not None, top, verify, few)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of an audit."""

    name: str  # as progress calls it
    seconds: float
    bytes: int  # held while it lasts, libraries apart


@dataclass(frozen=True, slots=True)
class Costs:
    """What an audit of labels takes."""

    stages: tuple[Stage, ...]
    size: Size
    method: Way | None  # how the Hessian is inverted; None where nothing fits
    on_disk: bool = False  # whether rows stay on disk

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Most bytes that are held at a time, libraries apart."""
        return max(stage.bytes for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the options decides on the costs."""

    basis: str = "auto"
    l2: bool = False  # whether λ is given
    top: int = 100
    verify: int = 12
    few: bool = False  # whether few rows are solved for


def costs(shape: Shape, asked: Asked, *, limit: int, speeds: Speeds = USUAL, on_disk: int = 0) -> Costs:
    """Count what an audit of labels of such rows takes; `on_disk` bytes where they do not fit in memory."""
    size = shape.design(asked.basis, limit)
    held = shape.cells + shape.encoded
    with_design = held + size.design
    way: Way | None = route(size, limit - with_design)
    if way and asked.few and size.explained_by_solves:
        way = "solves"
    if on_disk:  # of rows on disk there is a Hessian, and no other factor
        way = "cholesky" if size.primal <= limit and not size.entries else None
    work = _work(shape, size, asked, way)
    if on_disk:
        work |= _passes(shape, size)
    taken = (lambda *_: on_disk) if on_disk else _taken(shape, size, way)
    stages = tuple(
        Stage(name, seconds_of(FIGURES[name], units, speeds), taken(name, held, with_design))
        for name, units in sorted(work.items(), key=lambda item: ORDER.index(item[0]))
    )
    return Costs(stages, size, way, on_disk=on_disk > 0)


def _passes(shape: Shape, size: Size) -> dict[str, Work]:
    """Return the work of stages that read rows from disk again."""
    read, numbers = float(shape.cells), float(size.numbers)
    return {
        "encode": (0.0, 0.0, 0.2 * read),
        "write features": (0.0, 0.0, 8.0 * numbers),
        "fit": (PASSES * 2.0 * numbers * size.d, 0.0, PASSES * 8.0 * numbers),
        "invert": (numbers * size.d, 0.0, 8.0 * numbers),
        "verify by refits": (0.0, 0.0, 8.0 * PASSES * numbers),
        "evidence": (0.0, 0.0, 8.0 * numbers),
    }


def seconds_of(figures: tuple[float, float, float, float], units: Work, speeds: Speeds) -> float:
    """Return the seconds of a stage."""
    fixed, *per = figures
    ratios = (USUAL.dense / speeds.dense, USUAL.sparse / speeds.sparse, USUAL.cells / speeds.cells)
    counted = sum(p * u / 1e9 * r for p, u, r in zip(per, units, ratios, strict=True))
    return fixed * USUAL.python / speeds.python + counted


def _taken(shape: Shape, size: Size, way: Way | None) -> Callable[[str, int, int], int]:
    """Return what gives the bytes of a stage."""
    n, k = size.n, size.k
    factor = {
        "cholesky": size.primal,
        "dual": size.dual,
        "classwise": size.classwise,
        "projected": size.projected(PROBES),
        "solves": size.projected(PROBES),
    }
    inverse = factor[way] if way else min(factor.values())
    scores = FLOAT * n * (4 * (k + 1) + 8) + size.forms
    some = min(n, PATH_ROWS)
    path = (
        2 * 4 * n * k * 4 * (PROBES // 2 + k) if size.entries else 16 * some * size.d + 16 * (size.d + 1) ** 2
    )
    folds = 4 * some * 5 * (k + 1) * 6 if k > 1 else 0
    cut = KEPT * min(shape.texts, CUT_BYTES)  # texts cut into words, which Polars keeps for the next ones
    own = {
        "read": 0,
        "encode": cut,
        "screen bases": 4 * FLOAT * min(n, SHORT_ROWS) * size.d,
        "choose basis": path + folds,
        "choose λ": path + folds,
        "write": inverse + scores + ROW * n,
    }

    alike = 4 * min(ALIKE_BYTES, ALIKE_ROWS * FLOAT * n * k)  # rows that are compared with all others
    own |= {"evidence": inverse + scores + alike, "verify by refits": inverse + scores + alike}
    left = 0 if size.entries else path // 4  # of what is freed, memory that is not given back

    def taken(name: str, held: int, with_design: int) -> int:
        if name in ("read", "encode"):
            return (shape.cells if name == "read" else held) + own[name]
        if name in ("screen bases", "choose basis"):
            return held + cut + own[name]
        return with_design + cut + left + own.get(name, inverse + scores)

    return taken


def _work(shape: Shape, size: Size, asked: Asked, way: Way | None) -> dict[str, Work]:
    """Return the work of each stage: dense, sparse, bytes looked at."""
    n, d, k, K = size.n, size.d, size.k, shape.classes
    numbers = float(size.numbers)
    work: dict[str, Work] = {
        "read": (0.0, 0.0, float(shape.cells)),
        "encode": (0.0, 0.0, float(shape.texts + 0.2 * shape.cells)),
    }

    def product(times: float) -> Work:
        """Return that of products with X, each way."""
        done = 2.0 * times * numbers
        return (0.0, done, 0.0) if size.entries else (done, 0.0, 0.0)

    def both(first: tuple[float, ...], second: tuple[float, ...]) -> Work:
        dense, sparse, looked = (a + b for a, b in zip(first, second, strict=True))
        return dense, sparse, looked

    hessian, cube, nk, nnK = 0.5 * n * size.p**2, float(size.p) ** 3, float(n * k) ** 3, float(n) ** 3 * K
    # With two classes the Hessian preconditions Newton's steps too, and is made a few times.
    factors = {"cholesky": (4 if k == 1 else 1) * hessian + cube / 3, "dual": nk / 6, "classwise": nnK}
    forms_ = {"cholesky": 2 * hessian + 2 * cube / 3, "dual": nk / 6, "classwise": nnK / 2}
    steps = 15.0  # of conjugate gradients
    if size.entries and not asked.l2:
        judged = FOLDED if k > 1 else 1  # several classes are judged by folds
        work["choose λ"] = product(7 * judged * (40 * k + steps * (PROBES / 2 + k) * k))
    elif not size.entries:
        screened, tried = min(n, SHORT_ROWS), shape.features + (d - shape.features) / OFTEN
        small = min(d, shape.features + 150)
        work["screen bases"] = (14 * (screened * small**2 + 5.0 * small**3), 0.0, 0.0)
        some = min(n, PATH_ROWS)
        judged = 8 * (3 * (screened * tried**2 + tried**3) + some * tried**2 + tried**3)
        if K > 2:  # noqa: PLR2004 - by folds
            others = 3 * screened if shape.numeric or shape.features < PARAMETERS / k else 0  # bases
            judged = 8 * 2.0 * (others + some) * tried * K * 5 * 60 / 2
        work["choose basis"] = (judged / (8 if asked.l2 else 1), 0.0, 0.0)
    work["fit"] = both(product(60 * k), (factors.get(way or "", 0.0), 0.0, 0.0))
    forms = (
        product(2 * steps * (PROBES + k) * k)
        if way == "projected"
        else (forms_.get(way or "", 0.0), 0.0, 0.0)
    )
    work["score rows"] = forms
    if way == "projected":
        work["solve for the first rows"] = product(15.0 * 5 * (asked.top + 100) * k)
    work["verify by refits"] = product(2 * 30.0 * asked.verify * k)
    read = {"cholesky": float(size.p) ** 2, "dual": float(n * k) ** 2, "classwise": 2.0 * K * n**2}
    solves = 2.0 * asked.top * read.get(way or "", 0.0)
    work["evidence"] = both(product(asked.top * k * (25 if way == "projected" else 2)), (solves, 0.0, 0.0))
    work["tables"] = (0.0, 0.0, float(200 * n))
    work["write"] = (0.0, 0.0, float(200 * n))
    return work
