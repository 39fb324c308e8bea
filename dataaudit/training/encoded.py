"""Training rows read, labelled and encoded.

Nothing here needs torch: Polars reads and encodes while another thread imports it, and what is wrong with a
file or a column is reported before that import is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data import Dataset, load
from dataaudit.errors import MissingColumn, SettingError, closest
from dataaudit.features import Columns, EncoderSettings, Encoding, fit_encoding
from dataaudit.features.target import Target, encode_target, encode_weight
from dataaudit.solver_names import require_damping, require_solver
from dataaudit.training.required import require_real, require_text, require_whole

StepCallback = Callable[[str, int, int], None]
Ranking = Literal["auto", "p-wrong", "leave-one-out", "self-influence"]
MODELS = ("logistic", "svm", "rbf-svm")
ModelName = Literal["logistic", "svm", "rbf-svm"]
RANKINGS = ("auto", "p-wrong", "leave-one-out", "self-influence")


def no_step(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def require_model(name: str) -> None:
    """Check the name of a model.

    Raises
    ------
    SettingError
        If there is none of this name.
    """
    if name not in MODELS:
        near = closest(name, MODELS)
        hint = f"did you mean {near!r}?" if near else f"use one of {', '.join(MODELS)}"
        raise SettingError(f"unknown model: got {name!r}", hint)


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
    model : {"logistic", "svm", "rbf-svm"}
        A logistic regression, or for two classes a support vector machine, linear or on RBF features.
    rank : {"auto", "p-wrong", "leave-one-out", "self-influence"}
        Order of the list.
    solver : str
        How the Hessian is inverted, one of `solver_names.SOLVERS`.
    damping : float
        δ, added to the Hessian.
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
    model: ModelName = "logistic"
    rank: Ranking = "auto"
    solver: str = "auto"
    damping: float = 0.0
    verify: int = 12
    top: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        require_text(self, "label", "id_column")
        require_real(self, "l2", "damping")
        require_whole(self, "verify", "top", "seed")
        if self.rank not in RANKINGS:
            raise SettingError(f"unknown ranking: got {self.rank!r}", f"use one of {', '.join(RANKINGS)}")
        if self.l2 is not None and not 0 < self.l2 < float("inf"):
            raise SettingError(f"l2 must be above 0: got {self.l2:g}", "leave it out to have it chosen")
        require_model(self.model)
        if self.model == "rbf-svm" and self.basis not in ("auto", "rbf"):
            raise SettingError(f"rbf-svm is a basis of its own: got basis {self.basis}", "use svm with it")
        require_solver(self.solver)
        require_damping(self.damping)
        counts = {"verify": self.verify, "top": self.top, "seed": self.seed}
        for name, value in counts.items():
            if value < 0:
                raise SettingError(f"{name} cannot be negative: got {value}", "use 0 or more")


@dataclass(frozen=True)
class Training:
    """Labelled rows, encoded."""

    dataset: Dataset  # the n rows, label column included
    target: Target
    encoding: Encoding  # learned statistics and roles of the columns
    columns: Columns
    weight: NDArray[np.float64]  # (n,) weights of the rows in the objective
    notes: tuple[str, ...] = ()  # what was decided about the weights


def read_labelled(
    source: Any, settings: LabelSettings, *, on_step: StepCallback = no_step
) -> tuple[Dataset, Target]:
    """Read the rows that have a label."""
    on_step("read", 0, 1)
    columns, wanted = settings.columns, None
    if columns.features:
        named = (*columns.features, *columns.text, *columns.categorical, *filter(None, [settings.weight]))
        wanted = tuple(dict.fromkeys(named))
    dataset = load(
        source, target=settings.label, columns=wanted, exclude=columns.exclude, id_column=settings.id_column
    )
    target = encode_target(dataset.frame[settings.label])
    on_step("read", 1, 1)
    return (dataset if target.kept.all() else dataset.keep(target.kept)), target


def encode_training(
    dataset: Dataset, target: Target, settings: LabelSettings, *, on_step: StepCallback = no_step
) -> Training:
    """Encode the columns of labelled rows."""
    on_step("encode", 0, 1)
    frame, weight, notes = weighted(dataset, settings)
    encoding = fit_encoding(frame, settings.label, settings=settings.columns)
    columns = encoding.transform(frame)
    on_step("encode", 1, 1)
    return Training(dataset, target, encoding, columns, weight, notes)


def weighted(
    dataset: Dataset, settings: LabelSettings
) -> tuple[pl.DataFrame, NDArray[np.float64], tuple[str, ...]]:
    """Return the frame without the weights, the weights, and a note on them."""
    if settings.weight is None:
        return dataset.frame, np.ones(dataset.n), ()
    if settings.weight not in dataset.frame.columns:
        raise MissingColumn(settings.weight, dataset.frame.columns, "the data")
    weight = encode_weight(dataset.frame[settings.weight])
    note = f"Rows weigh {settings.weight!r} in the fit and in influence; basis and λ were chosen without."
    return dataset.frame.drop(settings.weight), weight, (note,)
