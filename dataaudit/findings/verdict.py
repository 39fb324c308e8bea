"""What the gate says: an outcome for each rule and dataset, and the findings behind it.

Nothing here knows how facts are gathered or how a verdict is written.

A rule: a predicate over one table of facts, a measure of the rows that satisfy it, and a limit.

A verdict as JSON and back, without loss: what the cache keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any, Final, Literal, get_args

Severity = Literal["error", "warning", "note"]
Measure = Literal["count", "share", "sum", "max", "min"]
Scope = Literal["row", "column", "dataset"]
Precision = Literal["very-high", "high", "medium", "low"]
SEVERITIES: Final[tuple[str, ...]] = get_args(Severity)  # the gravest first
MEASURES: Final[tuple[str, ...]] = get_args(Measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What must hold of a dataset.

    Attributes
    ----------
    code, name : str
        ``DA101`` and ``suspect-labels``: its one identity, and a name that says the fault.
    pack : str
        Name of the pack that it stands in.
    title : str
        The fault in one line, without a full stop.
    table : str
        Table of facts that it looks at.
    where : str
        SQL predicate over the table's columns; empty for all rows. Rows that satisfy it are the findings.
    measure : {"count", "share", "sum", "max", "min"}
        Of the rows that satisfy `where`: their number, their share of all, or a function of `column`.
    column : str
        Of ``sum``, ``max`` and ``min``; empty otherwise.
    limit : float
        The rule is broken where the measure is above it.
    unit : str
        Of measure and limit, for people: ``rows``, ``columns``, ``share``, ``nats``, …
    severity : {"error", "warning", "note"}
        Whether a broken rule fails the gate is decided by comparing this with ``--fail-on``.
    scope : {"row", "column", "dataset"}
        What a row of the table stands for. With a base, only new and changed rows are measured by rules of
        scope ``row``; the others are compared with the same measure of the base.
    precision : {"very-high", "high", "medium", "low"}
        How often a finding is right, as far as was measured.
    message : str
        Of a broken rule, a format string with ``value``, ``limit``, ``dataset``, ``total`` (the findings that
        gate) and ``counted``: the same with its noun, as in ``1 row`` and ``2 rows``.
    each : str
        Of one finding, a format string with the columns of the table.
    doc : str
        Markdown: what it does, why it matters, how to look at it, options, references.
    status : str
        ``stable``, ``preview`` or ``deprecated``.
    """

    code: str
    name: str
    pack: str
    title: str
    table: str
    where: str = ""
    measure: Measure = "count"
    column: str = ""
    limit: float = 0.0
    unit: str = "rows"
    severity: Severity = "warning"
    scope: Scope = "row"
    precision: Precision = "medium"
    message: str
    each: str = ""
    doc: str
    status: str = "stable"


State = Literal["", "new", "changed", "known"]
Status = Literal["passed", "broken", "skipped", "failed"]
PASSED: Final = 0
BROKEN: Final = 1
FAILED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place in the data: a row, a column, or the dataset as a whole.

    Attributes
    ----------
    source : str
        POSIX path of the file as it was given; the dataset's first file where no row is meant.
    row : int or None
        0-based record number in that file.
    line : int or None
        1-based physical line at which the record starts; None for binary formats.
    row_id, column : str
        Names; empty where none is meant.
    """

    source: str
    row: int | None = None
    line: int | None = None
    row_id: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row or column that a rule names.

    Attributes
    ----------
    message : str
        One sentence. It may hold cells of the data: writers escape it.
    site : Site
    fingerprint : str
        Hexadecimal digits that stand for rule, dataset and content; the same wherever the row moves.
    state : {"", "new", "changed", "known"}
        Against the base; empty without one.
    accepted : str
        Reason for which the baseline accepts it; empty if it does not.
    score : float or None
        Its strength in the rule's unit, for sorting; None if all are alike.
    details : mapping
        The columns of its row in the table of facts, as JSON's types.
    """

    message: str
    site: Site
    fingerprint: str
    state: State = ""
    accepted: str = ""
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gates(self) -> bool:
        """Whether it can fail the build: it is not known from the base, and not accepted."""
        return self.state != "known" and not self.accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one rule on one dataset.

    Attributes
    ----------
    rule : Rule
        With the limit and severity that were in force.
    dataset : str
        Name of the dataset.
    status : {"passed", "broken", "skipped", "failed"}
        ``skipped`` does not apply here; ``failed`` could not be judged. `message` says why.
    message : str
        One sentence, whatever the status.
    value : float or None
        What was measured, over the findings that can gate.
    base_value : float or None
        The same of the base, where there is one.
    findings : tuple of Finding
        The strongest first, at most as many as were asked for; known and accepted ones included.
    total : int
        Number of findings before the cut.
    place : Site
        Where the outcome as a whole points to.
    seconds : float
        Time that it took, as far as it is its own.
    """

    rule: Rule
    dataset: str
    status: Status
    message: str
    place: Site
    value: float | None = None
    base_value: float | None = None
    findings: tuple[Finding, ...] = ()
    total: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All outcomes of a run.

    Attributes
    ----------
    outcomes : tuple of Outcome
        By dataset as configured, then by code.
    fail_on : {"error", "warning", "note"}
        The least severity that fails.
    datasets : mapping
        Name of each dataset → facts about it for a report (paths, rows, content hash, base), as JSON's types.
    notes : tuple of str
        Full sentences: what was cached, which baseline entries look fixed, …
    version : str
        Of dataaudit.
    """

    outcomes: tuple[Outcome, ...]
    fail_on: Severity = "error"
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: str = ""

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """Broken rules, of whatever severity."""
        return tuple(o for o in self.outcomes if o.status == "broken")

    @property
    def failing(self) -> tuple[Outcome, ...]:
        """Broken rules that are severe enough to fail the gate."""
        last = SEVERITIES.index(self.fail_on)
        return tuple(o for o in self.broken if SEVERITIES.index(o.rule.severity) <= last)

    @property
    def exit_code(self) -> int:
        """2 if a rule could not be judged, 1 if one fails the gate, else 0."""
        if any(o.status == "failed" for o in self.outcomes):
            return FAILED
        return BROKEN if self.failing else PASSED


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON's types."""
    return asdict(verdict)


def verdict_from(record: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `verdict_record` made a record of.

    Raises
    ------
    TypeError, KeyError
        If it is none.
    """
    outcomes = tuple(_outcome(outcome) for outcome in record["outcomes"])
    return Verdict(**{**_known(Verdict, record), "outcomes": outcomes, "notes": tuple(record["notes"])})


def _outcome(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        **{
            **_known(Outcome, record),
            "rule": Rule(**record["rule"]),
            "place": Site(**record["place"]),
            "findings": tuple(
                Finding(**{**finding, "site": Site(**finding["site"])}) for finding in record["findings"]
            ),
        }
    )


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: record[field.name] for field in fields(kind)}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a text file of the repository.

    Attributes
    ----------
    path : str
        POSIX, relative to the root, without ``./``.
    line : int
        From 1.
    own : bool
        Whether that is the data's own file; otherwise one that stands for it.
    """

    path: str
    line: int
    own: bool


def where(site: Site) -> str:
    """Return how people name a site: ``a.csv:17``, ``a.parquet#16``, ``a.csv[age]``."""
    if site.line is not None:
        return f"{site.source}:{site.line}"
    if site.row is not None:
        return f"{site.source}#{site.row}"
    return f"{site.source}[{site.column}]" if site.column else site.source


def logical_name(site: Site) -> str:
    """Return the name of a site inside its file: ``a.parquet#row=16``."""
    part = f"#row={site.row}" if site.row is not None else f"#column={site.column}" if site.column else ""
    return PurePosixPath(site.source).name + part
