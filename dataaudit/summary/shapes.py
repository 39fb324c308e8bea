"""The shapes of a summary: nested frozen dataclasses, numbers unformatted.

Losses and changes of loss are in nats, probabilities and shares in [0, 1], contributions in log-odds towards
the row's own label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataaudit.cells import pixels_of, pixels_text
from dataaudit.findings.record import plain


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of a column in one row, as text."""

    column: str
    text: str
    picture: str = ""


def cell_of(column: str, text: str | None) -> Cell:
    """Return a cell of a table of cells; one that holds a picture says its size in the place of its text."""
    pixels = pixels_of(text) if text else None
    if pixels is None:
        return Cell(column, text or "")
    return Cell(column, pixels_text(pixels.size), text or "")


def first_picture(cells: tuple[Cell, ...]) -> str:
    """Return the first picture among cells; empty if there is none."""
    return next((cell.picture for cell in cells if cell.picture), "")


@dataclass(frozen=True, slots=True)
class Term:
    """A column, level or word and its log-odds towards the row's label; negative speaks against the label.

    `role` is what the column is used as (``"text"``, ``"numeric"``, …), empty where that is not known.
    """

    role: str
    column: str
    level: str | None
    cell: str | None
    contribution: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row near to another one; similarity 1 is the same direction in the model's geometry."""

    row_id: str
    label: str
    similarity: float
    same_label: bool
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """One row to look at: the columns of the table `labels`, and what speaks for and against its label."""

    rank: int
    row_id: str
    source: str
    row: int
    line: int | None
    label: str
    suggested_label: str
    predicted_label: str
    p_wrong: float
    p_label: float
    loo_p_label: float
    train_loss: float
    loo_loss: float
    self_influence: float
    leverage: float
    delta_loss_if_removed: float
    delta_loss_if_relabelled: float
    rank_self_influence: int
    cells: tuple[Cell, ...]
    evidence: tuple[Term, ...]
    neighbours: tuple[Neighbour, ...]

    @property
    def picture(self) -> str:
        """The first picture among its cells; empty if there is none."""
        return first_picture(self.cells)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in words: one headline, then what it rests on."""

    headline: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """Number of rows whose score lies in [low, high)."""

    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True)
class BudgetStep:
    """Rows to check, in review order, to meet a share of the expected wrong labels."""

    share: float
    rows: int


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """Expected number of wrong labels among the first rows of the review order."""

    rows: int
    found: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A basis and λ tried on so many rows, and the mean leave-one-out loss with its standard error."""

    basis: str
    l2: float
    loo_loss: float
    standard_error: float
    chosen: bool
    rows: int


@dataclass(frozen=True, slots=True)
class Rate:
    """P(label | truth) of the noise model."""

    truth: str
    label: str
    rate: float


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Rows that carry a label, and how many of them are expected to be wrong."""

    label: str
    rows: int
    expected_wrong: float


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the audit itself."""

    check: str
    value: float | None
    limit: float | None
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Refit:
    """The change of a row's own loss when it is removed or relabelled: predicted, and measured by a refit."""

    row_id: str
    change: str
    predicted: float
    measured: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows with a similar left-out probability of the second class, and the share that carries its label."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class Trust:
    """How far to trust the audit; slope and Pearson compare predicted with measured, None without refits."""

    checks: tuple[Check, ...]
    refits: tuple[Refit, ...]
    slope: float | None
    pearson: float | None
    calibration: tuple[CalibrationBin, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Return the checks that are not in order."""
        return tuple(check for check in self.checks if not check.ok)


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type next, and what it gives."""

    purpose: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that a report of `audit labels` shows."""

    verdict: Verdict
    rows: tuple[ReviewRow, ...]
    p_wrong: tuple[Bar, ...]
    loo_loss: tuple[Bar, ...]
    budget: tuple[BudgetStep, ...]
    curve: tuple[BudgetPoint, ...]
    selection: tuple[Choice, ...]
    noise: tuple[Rate, ...]
    by_label: tuple[LabelCount, ...]
    trust: Trust
    next_commands: tuple[Command, ...]
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return nested dictionaries of JSON's types; numbers that are not finite become None."""
        values: dict[str, Any] = plain(dataclasses.asdict(self))
        return values
