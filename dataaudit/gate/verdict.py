"""What the gate says: an outcome for each rule and dataset, and the findings behind it.

Nothing here knows how facts are gathered or how a verdict is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dataaudit.gate.rule import SEVERITIES, Rule, Severity

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
