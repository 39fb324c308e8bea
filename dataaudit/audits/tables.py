"""From numbers by position to tables by row name: the only place where an audit's tensors become frames."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.evidence import Contribution, Neighbour
from dataaudit.audits.validation import Refit
from dataaudit.cells import Marks, cell_text, kept_cell
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Target, class_texts
from dataaudit.findings.schemas import (
    CELLS,
    ESTIMATED,
    EVIDENCE,
    GROUPED,
    LABELS,
    NEIGHBOURS,
    NOISE,
    SELECTION,
    VERIFICATION,
    Provenance,
)
from dataaudit.noise import NoiseModel
from dataaudit.training.trained import RowScores, Trained

if TYPE_CHECKING:
    from dataaudit.influence.groups import Groups
    from dataaudit.options import LabelOptions, TrainingOptions


Reasons = Mapping[int, tuple[frozenset[str], Marks]]  # columns and words, by the position of a row

SHOWN_COLUMNS = 40
RANKING: Final = "p-wrong"  # the order where none is asked for
_NO_REASONS: Final[Reasons] = {}
_NONE: Final = (frozenset[str](), Marks())
PACKAGES = ("dataaudit", "numpy", "polars", "scipy", "torch")


def review_order(
    dataset: Dataset, scores: RowScores, noise: NoiseModel, *, ranking: str
) -> NDArray[np.int64]:
    """Return positions, the most suspect first; ties by leave-one-out loss, then by row_id."""
    loss = scores.loo_loss
    key = {"p-wrong": noise.p_wrong, "leave-one-out": loss, "self-influence": scores.self_influence}[ranking]
    order = np.lexsort((-loss, -key))
    tied = np.flatnonzero((np.diff(key[order]) == 0) & (np.diff(loss[order]) == 0))
    if len(tied):  # names are compared where they decide, which is seldom
        among, place = np.sort(order[np.union1d(tied, tied + 1)]), np.zeros(len(order))
        place[among] = dataset.row_id.gather(among).rank("ordinal").to_numpy()
        order = np.lexsort((place, -loss, -key))
    return np.asarray(order, dtype=np.int64)


Facts = dict[str, pl.Series | NDArray[Any]]  # columns of the table of labels, in the order of the rows


def row_facts(
    dataset: Dataset,
    target: Target,
    scores: RowScores,
    *,
    noise: NoiseModel,
    order: NDArray[np.int64],
    trained: Trained | None = None,
) -> Facts:
    """Return what is said of every row, classes by their numbers; `GROUPED` and `ESTIMATED` where due."""
    at, rank_influence = np.arange(len(target.y)), np.empty(len(target.y), dtype=np.int64)
    rank_influence[review_order(dataset, scores, noise, ranking="self-influence")] = at + 1
    facts: Facts = {
        "row_id": dataset.row_id,
        "row": dataset.row,
        "source": dataset.source,
        "line": dataset.line,
        **_label_facts(target, scores, ("label", "predicted_label", "p_label")),
        "train_loss": scores.train_loss,
        "self_influence": scores.self_influence,
        "leverage": scores.leverage,
        "loo_loss": scores.loo_loss,
        **_label_facts(target, scores, ("loo_p_label",)),
        "delta_loss_if_removed": scores.loo_loss - scores.train_loss,
        "delta_loss_if_relabelled": scores.relabelled_loss - scores.train_loss,
        **_label_facts(target, scores, ("suggested_label",)),
        "p_wrong": noise.p_wrong,
        "rank": np.argsort(order) + 1,
        "rank_self_influence": rank_influence,
    }
    if trained is not None and trained.groups is not None:
        facts |= dict(zip(GROUPED, _grouped(trained.groups, target).iter_columns(), strict=True))
    if trained is not None and (estimated := trained.estimated).any():
        facts["estimated"] = pl.Series(estimated, dtype=ESTIMATED["estimated"])
    return facts


def _label_facts(target: Target, scores: RowScores, names: Sequence[str]) -> Facts:
    """Return some of the columns on labels and their chances; of numbers they are said by others."""
    at, y = np.arange(len(target.y)), target.y
    if not target.classes:
        return dict.fromkeys(names, y)
    made: dict[str, Callable[[], NDArray[Any]]] = {
        "label": lambda: y,
        "predicted_label": lambda: scores.p.argmax(1).astype(np.int32),
        "p_label": lambda: scores.p[at, y],
        "loo_p_label": lambda: scores.loo_p[at, y],
        "suggested_label": lambda: scores.suggested,
    }
    return {name: made[name]() for name in names}


def label_table(facts: Facts, classes: Sequence[str], order: NDArray[np.int64]) -> pl.DataFrame:
    """Return the table `LABELS`, in review order.

    The facts are taken out one after another: of many rows no more than one is there twice.
    """
    names, ordered = pl.Series(classes, dtype=pl.String), list[pl.Series]()
    for name in list(facts):
        column = pl.Series(name, facts.pop(name)).gather(order)
        if LABELS.get(name) == pl.String and column.dtype.is_integer():
            column = names.gather(column).alias(name)
        ordered.append(column.cast(LABELS.get(name, column.dtype)))
    return pl.DataFrame(ordered)


def _grouped(groups: Groups, target: Target) -> pl.DataFrame:
    """Return the columns `GROUPED`."""
    copies = np.where(groups.copy >= 0, groups.copy, -1 - np.arange(len(groups.copy)))
    rows = pl.DataFrame({"group": groups.group, "copy_set": copies, "y": target.y})
    counts = [
        (pl.len().over(name).alias(f"{what}_rows"), _others(name).alias(f"{what}_conflicts"))
        for name, what in (("group", "group"), ("copy_set", "copy"))
    ]
    kept = pl.when(pl.col("copy_set") >= 0).then("copy_set").alias("copy_set")
    return rows.select(*counts[0], *counts[1], kept).select(GROUPED.names()).cast(GROUPED)


def _others(name: str) -> pl.Expr:
    """Return how many rows of the same number have another label."""
    return pl.len().over(name) - pl.len().over(name, "y")


def evidence_table(dataset: Dataset, reasons: list[list[Contribution]]) -> pl.DataFrame:
    """Return the table `EVIDENCE`."""
    met = list(dict.fromkeys(c.row for row in reasons for c in row))
    cells, place = dataset.frame[met], {row: at for at, row in enumerate(met)}
    rows = [
        (dataset.row_id[c.row], position, c.column, c.level, _cell(cells, place[c.row], c), c.value)
        for row in reasons
        for position, c in enumerate(row, start=1)
    ]
    return pl.DataFrame(rows, schema=EVIDENCE, orient="row")


def _cell(cells: pl.DataFrame, at: int, contribution: Contribution) -> str:
    """Return the cell that contributes; a term is its own cell."""
    if contribution.level is not None or contribution.column not in cells.columns:
        return contribution.level or contribution.column
    return cell_text(cells[contribution.column][at], 100)


def neighbour_table(dataset: Dataset, target: Target, alike: list[list[Neighbour]]) -> pl.DataFrame:
    """Return the table `NEIGHBOURS`."""
    y, numbers = target.y, None if target.classes else class_texts(dataset.frame[dataset.target])
    rows = [
        (dataset.row_id[m.row], position, dataset.row_id[m.other],
         target.classes[y[m.other]] if numbers is None else numbers[m.other], m.similarity,
         bool(y[m.row] == y[m.other]) and numbers is None)
        for row in alike
        for position, m in enumerate(row, start=1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=NEIGHBOURS, orient="row")


def cell_table(
    dataset: Dataset, trained: Trained | None, rows: NDArray[np.int64], *, reasons: Reasons = _NO_REASONS
) -> pl.DataFrame:
    """Return the table `CELLS` for the given rows: the first columns in use, in the table's order.

    Columns that are evidence are kept wherever they stand, and of a long text the passage with its words.
    """
    roles = trained.roles if trained else ()
    used = {role.column for role in roles if role.role != "left out"}
    names = [c for c in dataset.frame.columns if (c in used if used else c != dataset.target)]
    texts = [role.column for role in roles if role.role == "text"]
    first = set([*texts, *names][:SHOWN_COLUMNS])
    picked = dataset.frame.select(names)[rows.tolist()] if names else dataset.frame.clear()
    rows = rows if names else rows[:0]  # the label may be all there is
    cells = [
        (row_id, name, kept_cell(value, marks=marks))
        for row, row_id, values in zip(
            rows.tolist(), dataset.row_id[rows.tolist()], picked.iter_rows(), strict=True
        )
        for columns, marks in (reasons.get(row, _NONE),)
        for name, value in zip(names, values, strict=True)
        if name in first or name in columns
    ]
    return pl.DataFrame(cells, schema=CELLS, orient="row")


def reasons_of(reasons: list[list[Contribution]], alike: list[list[Neighbour]]) -> Reasons:
    """Return the columns and words that are evidence of each row, or of a row that it is near to."""
    found: dict[int, tuple[set[str], dict[str, float]]] = {}
    for mine, near in zip(reasons, alike, strict=True):
        for row in {*(c.row for c in mine), *(m.other for m in near)}:
            columns, words = found.setdefault(row, (set(), {}))
            columns |= {c.column for c in mine}
            words |= {c.level: c.value for c in reversed(mine) if c.level}
    return {row: (frozenset(columns), tuple(words.items())) for row, (columns, words) in found.items()}


def cells_of_pair(
    trained: Trained,
    train: tuple[Dataset, NDArray[np.int64]],
    test: tuple[Dataset, NDArray[np.int64]],
    *,
    labels: bool = False,
) -> pl.DataFrame:
    """Return the cells of some training and some test rows, with their part; labels first if asked for."""
    tables = []
    for name, (dataset, rows) in (("train", train), ("test", test)):
        parts = [_label_cells(dataset, rows)] if labels else []
        tables += [
            part.with_columns(part=pl.lit(name)) for part in (*parts, cell_table(dataset, trained, rows))
        ]
    return pl.concat(tables)


def _label_cells(dataset: Dataset, rows: NDArray[np.int64]) -> pl.DataFrame:
    at = rows.tolist()
    cells = {"row_id": dataset.row_id[at], "cell": class_texts(dataset.frame[dataset.target][at])}
    return pl.DataFrame(cells).select("row_id", pl.lit(dataset.target).alias("column"), "cell")


def selection_table(trained: Trained) -> pl.DataFrame:
    """Return the table `SELECTION`: every basis and λ that was tried."""
    rows = [(c.basis, c.l2, c.loo_loss, c.standard_error, c.chosen, c.rows) for c in trained.curve]
    return pl.DataFrame(rows, schema=SELECTION, orient="row")


def verification_table(dataset: Dataset, refits: tuple[Refit, ...]) -> pl.DataFrame:
    """Return the table `VERIFICATION`."""
    rows = [(dataset.row_id[r.row], r.change, r.predicted, r.measured) for r in refits]
    return pl.DataFrame(rows, schema=VERIFICATION, orient="row")


def noise_table(target: Target, noise: NoiseModel) -> pl.DataFrame:
    """Return the table `NOISE`: P(label | truth) for every pair of classes."""
    rows = [
        (truth, label, float(noise.rates[i, j]))
        for i, truth in enumerate(target.classes)
        for j, label in enumerate(target.classes)
    ]
    return pl.DataFrame(rows, schema=NOISE, orient="row")


def provenance(
    dataset: Dataset,
    target: Target,
    trained: Trained,
    *,
    settings: LabelOptions,
    noise: NoiseModel,
    command: str,
) -> Provenance:
    """Return everything that another run needs to give the same findings."""
    return Provenance(
        **run_facts(dataset, trained, command=command, seed=settings.seed),
        **list_facts(dataset, target, noise=noise, rank=settings.rank),
        settings=asked_of(settings, trained) | {"source": dataset.given},
        **decisions(trained, target.notes, read=dataset.notes),
    )


def asked_of(settings: TrainingOptions, trained: Trained) -> dict[str, Any]:
    """Return the settings as a provenance keeps them, with a hash of a network, which is not kept itself."""
    known = settings.to_dict()
    return known if trained.network is None else known | {"network": trained.network.digest}


def decisions(
    trained: Trained, rows: Iterable[str], *, read: Iterable[str], also: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the notes of a provenance: rows and columns that were left out, then how cells were read.

    What is said of the model, and `also`, comes after those that everybody should see.
    """
    encoding = trained.described.encoding if trained.described else None
    left_out, cells = (encoding.left_out, encoding.notes) if encoding else ((), ())
    leading = tuple(dict.fromkeys([*rows, *left_out, *read, *cells]))
    rest = (note for note in (*trained.notes, *also) if note not in leading)
    return {"notes": (*leading, *rest), "leading": len(leading)}


def list_facts(dataset: Dataset, target: Target, *, noise: NoiseModel, rank: str) -> dict[str, Any]:
    """Return what every provenance of ranked rows says of the list and the count."""
    ranking, reason = choose_ranking(rank, noise)
    return {
        "dataset": data_name(dataset),
        "n_rows": len(target.y),
        "n_classes": len(target.classes),
        "ranking": ranking,
        "ranking_reason": reason,
        "expected_wrong": noise.expected,
        "expected_low": noise.interval[0],
        "expected_high": noise.interval[1],
    }


def source_facts(
    dataset: Dataset, *, command: str, seed: int, packages: Sequence[str] = PACKAGES
) -> dict[str, Any]:
    """Return what every provenance says of what was read, and by what."""
    return {
        "version": version("dataaudit"),
        "command": command,
        "target": dataset.target,
        "seed": seed,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "origins": tuple(asdict(o) for o in dataset.origins),
    }


def run_facts(dataset: Dataset, trained: Trained, *, command: str, seed: int) -> dict[str, Any]:
    """Return what every provenance says of a run; `dataset` is what was trained on."""
    return source_facts(dataset, command=command, seed=seed) | {
        "n_features": trained.objective.rows.width,
        "classes": trained.classes,
        "l2": trained.objective.l2,
        "basis": trained.basis,
        "solver": trained.prepared.method,
        "solver_reason": trained.prepared.reason,
        "gradient_norm": trained.fit.gradient_norm,
        "roles": tuple(asdict(r) for r in trained.roles),
    }


def pair_facts(known: Dataset, new: Dataset, trained: Trained, *, command: str, seed: int) -> dict[str, Any]:
    """Return what every provenance of training and test rows says."""
    return run_facts(known, trained, command=command, seed=seed) | {
        "train": data_name(known),
        "test": data_name(new),
        "n_train": known.n,
        "n_test": new.n,
        "test_origins": tuple(asdict(o) for o in new.origins),
    }


def data_name(dataset: Dataset) -> str:
    """Return the paths of the data, for people."""
    return ", ".join(dict.fromkeys(o.path for o in dataset.origins))[:300]


def choose_ranking(asked: str, noise: NoiseModel) -> tuple[str, str]:
    """Return the order of the list and a sentence that says why."""
    if asked != "auto":
        return asked, f"Ordered by {asked}, as asked."
    return RANKING, noise.reason
