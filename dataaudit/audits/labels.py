"""Which labels are wrong: the whole audit on one screen.

load → encode → choose basis and λ → fit → invert → score every row → noise model → findings. The chain is
the paper's (Koh & Liang 2017, section 5.4): self-influence and leverage give, from one factorisation, the
error that a row would have if it had not been in the training set, and from those out-of-sample scores a
noise model gives the probability that its label is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.evidence import contributions, neighbours
from dataaudit.audits.health import check_health
from dataaudit.audits.tables import (
    cell_table,
    choose_ranking,
    evidence_table,
    label_table,
    neighbour_table,
    noise_table,
    provenance,
    review_order,
    selection_table,
    verification_table,
)
from dataaudit.audits.trained import Encoded, RowScores, Trained, score_rows
from dataaudit.audits.verify import Refit, verify
from dataaudit.encode import EncoderSettings, fit_encoding
from dataaudit.encode.target import Target, encode_target
from dataaudit.encode.weight import encode_weight
from dataaudit.errors import MissingColumn, SettingError
from dataaudit.findings import BUDGET, Findings
from dataaudit.fit import minimise
from dataaudit.fitted import adopt
from dataaudit.losses import Softmax
from dataaudit.models import LinearModel
from dataaudit.noise import fit_noise, review_budget
from dataaudit.objective import Objective
from dataaudit.rows import MemoryRows
from dataaudit.selection import SelectionSettings, choose
from dataaudit.solvers import choose_solver
from dataaudit.sources import Dataset, load

StepCallback = Callable[[str, int, int], None]
Ranking = Literal["auto", "p-wrong", "leave-one-out", "self-influence"]
RANKINGS = ("auto", "p-wrong", "leave-one-out", "self-influence")


@dataclass(frozen=True)
class LabelSettings:
    """Everything that can be asked of an audit of labels.

    Attributes
    ----------
    label : str
        The label column.
    id_column : str or None
        A column of unique names for the rows.
    weight : str or None
        A column of row weights in the objective.
    columns : EncoderSettings
        Roles of columns.
    basis : {"auto", "linear", "spline", "rbf"}
        Basis of the numeric block; "auto" lets the leave-one-out loss choose.
    l2 : float or None
        λ; None lets the leave-one-out loss choose.
    rank : {"auto", "p-wrong", "leave-one-out", "self-influence"}
        Order of the list.
    verify : int
        True refits to make; 0 for none.
    top : int
        Rows that get evidence.
    seed : int
        Of everything random.

    Raises
    ------
    SettingError
        If a value makes no sense.
    """

    label: str
    id_column: str | None = None
    weight: str | None = None
    columns: EncoderSettings = field(default_factory=EncoderSettings)
    basis: Literal["auto", "linear", "spline", "rbf"] = "auto"
    l2: float | None = None
    rank: Ranking = "auto"
    verify: int = 12
    top: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.rank not in RANKINGS:
            raise SettingError(f"unknown ranking: got {self.rank!r}", f"use one of {', '.join(RANKINGS)}")
        if self.l2 is not None and not 0 < self.l2 < float("inf"):
            raise SettingError(f"l2 must be above 0: got {self.l2:g}", "leave it out to have it chosen")
        counts = {"verify": self.verify, "top": self.top, "seed": self.seed}
        for name, value in counts.items():
            if value < 0:
                raise SettingError(f"{name} cannot be negative: got {value}", "use 0 or more")


def find_wrong_labels(
    source: Any,
    settings: LabelSettings,
    *,
    model: Any = None,
    command: str = "dataaudit.audit_labels",
    on_step: StepCallback | None = None,
) -> Findings:
    """Rank training rows by how likely their label is wrong.

    Parameters
    ----------
    source : str, Path, sequence of these, or frame
        What `dataaudit.sources.load` takes.
    settings : LabelSettings
        What is asked.
    model : LogisticRegression or Pipeline, optional
        A fitted model to audit with instead of one of our own, see `dataaudit.fitted.adopt`.
    command : str
        How the audit was called, for the provenance.
    on_step : callable, optional
        Called with (stage, done, total) as the work goes on.

    Returns
    -------
    Findings
        All tables and the provenance.

    Raises
    ------
    AuditError
        For input that cannot be audited; the message says why and what to do.
    """
    if model is not None and (settings.l2 is not None or settings.basis != "auto"):
        what = "a model of your own has its ridge and its features already"
        raise SettingError(what, "leave l2 and basis out")
    on_step = on_step or (lambda stage, done, total: None)
    on_step("read", 0, 1)
    dataset, target = read_labelled(source, settings)
    on_step("read", 1, 1)
    if model is None:
        trained = train(dataset, target, settings, on_step=on_step)
    else:
        trained = train_adopted(model, dataset, target, settings=settings, on_step=on_step)
    return label_findings(dataset, target, trained, settings=settings, command=command, on_step=on_step)


def read_labelled(source: Any, settings: LabelSettings) -> tuple[Dataset, Target]:
    """Read the rows that have a label."""
    columns = settings.columns
    wanted = (
        tuple(
            dict.fromkeys(
                (*columns.features, *columns.text, *columns.categorical, *filter(None, [settings.weight]))
            )
        )
        if columns.features
        else None
    )
    dataset = load(
        source, target=settings.label, columns=wanted, exclude=columns.exclude, id_column=settings.id_column
    )
    target = encode_target(dataset.frame[settings.label])
    return (dataset if target.kept.all() else dataset.keep(target.kept)), target


def train(dataset: Dataset, target: Target, settings: LabelSettings, *, on_step: StepCallback) -> Trained:
    """Encode, choose basis and λ, fit to the minimum and invert the Hessian there."""
    on_step("encode", 0, 1)
    frame, weight, notes = _weighted(dataset, settings)
    encoding = fit_encoding(frame, settings.label, settings=settings.columns)
    columns = encoding.transform(frame)
    on_step("encode", 1, 1)
    K = len(target.classes)
    selection = SelectionSettings(basis=settings.basis, l2=settings.l2, seed=settings.seed)
    choice = choose(columns, target.y, K, settings=selection, on_step=on_step)
    X = choice.basis.transform(columns)
    on_step("fit", 0, 2)
    y = torch.from_numpy(target.y)
    rows = MemoryRows(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, y, weight)
    objective = Objective(rows, LinearModel(Softmax(K), rows.width), choice.l2)
    fit = minimise(objective, choice.theta).require_converged()
    on_step("fit", 1, 2)
    prepared = choose_solver(objective).prepare(objective, fit.theta)
    on_step("fit", 2, 2)
    return Trained(
        objective=objective,
        fit=fit,
        prepared=prepared,
        features=choice.basis.features,
        classes=target.classes,
        basis=choice.basis.name,
        curve=choice.curve,
        encoded=Encoded(encoding, columns, choice.basis),
        notes=(*encoding.notes, *notes),
    )


def _weighted(dataset: Dataset, settings: LabelSettings) -> tuple[pl.DataFrame, Tensor, tuple[str, ...]]:
    """Return the frame without the weights, the weights, and what to say of them."""
    if settings.weight is None:
        return dataset.frame, torch.ones(dataset.n, dtype=torch.float64), ()
    if settings.weight not in dataset.frame.columns:
        raise MissingColumn(settings.weight, dataset.frame.columns, "the data")
    weight = torch.from_numpy(encode_weight(dataset.frame[settings.weight]))
    note = f"Rows weigh {settings.weight!r} in the fit and in influence; basis and λ were chosen without."
    return dataset.frame.drop(settings.weight), weight, (note,)


def train_adopted(
    model: Any, dataset: Dataset, target: Target, *, settings: LabelSettings, on_step: StepCallback
) -> Trained:
    """Take the user's model as it is, and invert its Hessian where it stands."""
    on_step("fit", 0, 2)
    frame, weight, _ = _weighted(dataset, settings)
    adopted = adopt(model, frame.drop(dataset.target), target.y, classes=target.classes, weight=weight)
    on_step("fit", 1, 2)
    norm, notes = (
        adopted.fit.gradient_norm,
        ["The model is the one given: its coefficients were not changed."],
    )
    if not adopted.fit.converged:
        advice = (
            "fit it with a smaller tol and more max_iter, name its sample_weight by weight=, or leave it out"
        )
        notes.append(
            f"It is not at its minimum (gradient norm {norm:.1e}), which biases influence: {advice}."
        )
    prepared = choose_solver(adopted.objective).prepare(adopted.objective, adopted.fit.theta)
    on_step("fit", 2, 2)
    return Trained(
        objective=adopted.objective,
        fit=adopted.fit,
        prepared=prepared,
        features=adopted.features,
        classes=target.classes,
        basis="the model's own features",
        curve=(),
        encoded=None,
        notes=tuple(notes),
    )


def label_findings(
    dataset: Dataset,
    target: Target,
    trained: Trained,
    *,
    settings: LabelSettings,
    command: str,
    on_step: StepCallback,
) -> Findings:
    """Turn a trained model into the tables of the audit."""
    on_step("score rows", 0, 1)
    scores = score_rows(trained)
    noise = fit_noise(scores.loo_scores, target.y, len(target.classes))
    ranking, _ = choose_ranking(settings.rank, noise)
    order = review_order(dataset, scores, noise, ranking=ranking)
    on_step("score rows", 1, 1)
    top, checked = order[: settings.top], order[: (settings.verify + 1) // 2]
    with ThreadPoolExecutor(1) as beside:  # refits leave a core idle, and evidence needs none of them
        refitting = beside.submit(_verify, trained, scores, checked, on_step)
        on_step("evidence", 0, 2)
        reasons = contributions(trained, scores, top, seed=settings.seed)
        on_step("evidence", 1, 2)
        alike = neighbours(trained, scores, top)
        on_step("evidence", 2, 2)
        refits = refitting.result()
    shown = np.unique(
        np.concatenate([top, np.array([m.other for row in alike for m in row], dtype=np.int64)])
    )
    return Findings(
        labels=label_table(dataset, target, scores, noise=noise, order=order),
        health=check_health(trained, scores, refits, noise=noise),
        evidence=evidence_table(dataset, reasons),
        neighbours=neighbour_table(dataset, target, alike),
        cells=cell_table(dataset, trained, shown),
        selection=selection_table(trained),
        verification=verification_table(dataset, refits),
        noise=noise_table(target, noise),
        budget=pl.DataFrame(review_budget(noise.p_wrong[order]), schema=BUDGET, orient="row"),
        provenance=provenance(dataset, target, trained, settings=settings, noise=noise, command=command),
    )


def _verify(
    trained: Trained, scores: RowScores, rows: NDArray[np.int64], on_step: StepCallback
) -> tuple[Refit, ...]:
    total = 2 * len(rows)
    if total:
        on_step("verify by refits", 0, total)
    return verify(trained, scores, rows, on_refit=lambda done: on_step("verify by refits", done, total))
