"""The shapes of a summary of a mismatch: nested frozen dataclasses, numbers unformatted.

Losses and changes of loss are in nats; a change below 0 is a fall, so what is removed was harmful.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataaudit.findings.record import plain
from dataaudit.summary.shapes import Bar, Cell, Choice, Command, Trust, Verdict


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row with its label and cells; both are empty where they were not kept."""

    row_id: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A column that carries a finding.

    `effect` is the change of the mean loss of the finding's wrong test rows, with another cell of that column
    in the place of each row's: above 0 the cells protect, below 0 they do harm.
    """

    column: str
    effect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A remedy and what came of it; None where it was not tried, or not predicted."""

    remedy: str
    detail: str
    l2: float
    n_counted: int
    errors_before: int
    errors_after: int | None
    slice_loss_before: float
    slice_loss_after: float | None
    test_errors_before: int
    test_errors_after: int | None
    test_loss_before: float
    test_loss_after: float | None
    predicted: float | None
    measured: float | None
    cures: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLine:
    """A level, bin or term, or a pair of them; the rates are shares of `rate_class` among its labels."""

    rank: int
    column: str
    level: str
    second_column: str | None
    second_level: str | None
    n_train: int
    n_test: int
    n_errors: int
    errors_without: int | None
    rate_class: str
    rate_train: float | None
    rate_train_low: float
    rate_train_high: float
    rate_test: float
    rate_test_low: float
    rate_test_high: float
    influence_share: float
    lift: float
    loss: float
    harm: float
    p_value: float

    @property
    def name(self) -> str:
        """The slice as people write it: ``age = [0-10)``."""
        second = "" if self.second_column is None else f" and {self.second_column} = {self.second_level}"
        return f"{self.column} = {self.level}{second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCard:
    """A finding with everything that was learnt about it.

    `rows` are the first of its training rows, with their cells; `row_ids` names all that the tables name.
    """

    finding: int
    severity: str
    title: str
    slice: str
    n_errors: int
    n_train_rows: int
    row_ids: tuple[str, ...]
    rows: tuple[NamedRow, ...]
    test_row_ids: tuple[str, ...]
    carriers: tuple[Carrier, ...]
    advice: str
    predicted: float | None
    measured: float | None
    p_value: float
    remedies: tuple[Tried, ...]
    line: SliceLine | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One comparison of test with train, as a sentence and in numbers."""

    column: str | None
    measure: str
    level: str | None
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    significant: bool | None
    message: str


@dataclass(frozen=True, slots=True)
class LevelShare:
    """How frequent a level is in training and in test."""

    level: str
    n_train: int
    n_test: int


@dataclass(frozen=True, slots=True)
class ColumnLevels:
    """The levels of a column that differs, the most frequent in test first."""

    column: str
    levels: tuple[LevelShare, ...]


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A training row behind a test row, and the change of that test row's loss without it."""

    row: NamedRow
    change: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTest:
    """A test row beside the training rows that harm and help it most."""

    test: NamedRow
    predicted_label: str
    p_label: float
    loss: float
    effective_rows: float
    top_share: float
    finding: int | None
    harmful: tuple[TracedRow, ...]
    helpful: tuple[TracedRow, ...]


@dataclass(frozen=True, slots=True)
class HarmfulRow:
    """A training row, and how much of the summed loss of the wrong and of all test rows it costs."""

    rank: int
    train_row_id: str
    label: str
    harm_on_errors: float
    harm_on_test: float
    leverage: float


@dataclass(frozen=True, slots=True)
class Concentration:
    """How many training rows carry a prediction: effective numbers, as logarithmic bars."""

    bars: tuple[Bar, ...]
    rows: int
    fewest: float
    median: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchSummary:
    """Everything that a report of `audit mismatch` shows."""

    verdict: Verdict
    labelled: bool
    findings: tuple[FindingCard, ...]
    slices: tuple[SliceLine, ...]
    n_slices: int
    shift: tuple[Difference, ...]
    columns: tuple[ColumnLevels, ...]
    concentration: Concentration | None
    traces: tuple[TracedTest, ...]
    harmful: tuple[HarmfulRow, ...]
    trust: Trust
    selection: tuple[Choice, ...]
    next_commands: tuple[Command, ...]
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return nested dictionaries of JSON's types; numbers that are not finite become None."""
        values: dict[str, Any] = plain(dataclasses.asdict(self))
        return values
