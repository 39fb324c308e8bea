"""A rule: a predicate over one table of facts, a measure of the rows that satisfy it, and a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

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
