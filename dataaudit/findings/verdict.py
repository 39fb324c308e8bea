"""What the gate says: an outcome for each rule and dataset, the findings behind it, and all that as JSON.

A rule is a predicate over one table of facts, a measure of the rows that satisfy it, and a limit. Nothing
here knows how facts are gathered or how a verdict is written.
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
    """What must hold of a dataset."""

    code: str  # DA101: its one identity
    name: str  # suspect-labels: says the fault
    pack: str  # that it stands in
    title: str  # the fault in one line, without a full stop
    table: str  # of facts
    where: str = ""  # SQL predicate; rows that satisfy it are the findings; empty for all
    needs: str = ""  # what it takes beyond what its table takes: label, test, …; by spaces
    judges: str = ""  # SQL predicate; without a row of the table that satisfies it the rule is skipped
    unjudged: str = ""  # the reason that is given then, a full sentence
    measure: Measure = "count"  # of those rows: number, share of all, or a function of `column`
    column: str = ""  # of sum, max and min
    score: str = ""  # column by which findings are ranked and accepted if not `column`; with -, less is worse
    limit: float = 0.0  # the rule is broken where the measure is above it
    unit: str = "rows"  # for people: rows, columns, share, nats, …
    severity: Severity = "warning"  # broken, it fails the gate by --fail-on
    scope: Scope = "row"  # what a row of the table stands for; with a base, old rows are known
    precision: Precision = "medium"  # how often a finding is right, as far as was measured
    message: str  # format string: value, limit, dataset, total, counted (1 row, 2 rows)
    each: str = ""  # of one finding, with the columns of the table
    doc: str  # Markdown: what it does, why, how to look at it, options, references
    status: str = "stable"  # stable, preview or deprecated


State = Literal["", "new", "changed", "known"]
Status = Literal["passed", "broken", "skipped", "failed"]
NOT_ASKED: Final = "It does not apply: "  # how the reason begins where the configuration lacks something
PASSED: Final = 0
BROKEN: Final = 1
FAILED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place in the data: a row, a column, or the dataset as a whole."""

    source: str  # POSIX path as given; the dataset's first file where no row is meant
    row: int | None = None  # record number in that file, from 0
    line: int | None = None  # at which the record starts, from 1; None for binary formats
    row_id: str = ""  # empty where none is meant
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row or column that a rule names."""

    message: str  # one sentence; it may hold cells of the data: writers escape it
    site: Site
    fingerprint: str  # stands for rule, dataset and content, wherever the row moves
    state: State = ""  # against the base; empty without one
    accepted: str = ""  # reason for which the baseline accepts it
    score: float | None = None  # strength in the rule's unit, for sorting; None if all are alike
    details: Mapping[str, Any] = field(default_factory=dict)  # its row in the table of facts, as JSON's types

    @property
    def gates(self) -> bool:
        """Whether it can fail the build: it is not known from the base, and not accepted."""
        return self.state != "known" and not self.accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one rule on one dataset."""

    rule: Rule  # with the limit and severity that were in force
    dataset: str
    status: Status  # skipped does not apply here; failed could not be judged
    message: str  # one sentence
    place: Site  # where the outcome as a whole points to
    value: float | None = None  # measured over the findings that can gate
    base_value: float | None = None  # the same of the base, where there is one
    findings: tuple[Finding, ...] = ()  # strongest first, at most as many as asked; known ones too
    total: int = 0  # before the cut
    seconds: float = 0.0  # as far as the time is its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All outcomes of a run."""

    outcomes: tuple[Outcome, ...]  # by dataset as configured, then by code
    fail_on: Severity = "error"  # the least severity that fails
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # facts for a report, by name
    notes: tuple[str, ...] = ()  # full sentences
    version: str = ""  # of dataaudit

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
    """Return the verdict of such a record; a TypeError or KeyError says that it is not one."""
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
    """A line of a text file of the repository."""

    path: str  # POSIX, relative to the root
    line: int  # from 1
    own: bool  # whether that is the data's own file, not one that stands for it


def singular(noun: str) -> str:
    """Return the noun of a unit for one: ``rows`` → ``row``, ``classes`` → ``class``."""
    return noun.removesuffix("es" if noun.endswith("sses") else "s")


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
