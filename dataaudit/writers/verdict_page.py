"""What stands where on the page of a check, everything in words; the template only sets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from dataaudit.escape import line
from dataaudit.findings.verdict import Finding, Outcome, Verdict, where
from dataaudit.report import words
from dataaudit.writers.mismatch_cards import Grid
from dataaudit.writers.page import Step
from dataaudit.writers.run import CheckLine, Pairs, more
from dataaudit.writers.verdict_docs import as_html
from dataaudit.writers.verdict_words import (
    NAME,
    Standing,
    amount,
    dataset,
    headline,
    measured,
    quiet,
    said,
    standings,
    tally,
    title,
    told,
)

_SEVERITIES: Final = {"failed": "fails the check", "warning": "does not fail the check"}
_RESULTS: Final[dict[Standing, str]] = {
    "failed": "broken, fails",
    "error": "not judged",
    "warning": "broken",
    "passed": "passed",
    "skipped": "does not apply",
}
_ROWS: Final = 3_000  # findings of all rules: more have no room, so they are not put into words first
_FACTS: Final = 40  # of a dataset
_DATASETS: Final = 20


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown: broken rules, findings of each, lines of the overview, characters of a text."""

    rules: int = 60
    rows: int = 200
    lines: int = 400
    text: int = 600
    documented: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A broken rule."""

    number: int
    name: str
    severity: str
    tone: str
    dataset: str
    title: str
    message: str
    facts: str
    findings: Grid | None
    caption: str
    doc: Markup | None


@dataclass(frozen=True, slots=True)
class Version:
    """What the frame says of the run."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPage:
    """The page's parts in the order in which they are read."""

    dataset: str
    headline: str
    sentences: tuple[str, ...]
    steps: tuple[Step, ...]
    broken: tuple[Broken, ...]
    more_broken: str
    unjudged: tuple[CheckLine, ...]
    rules: Grid
    datasets: tuple[tuple[str, Pairs], ...]
    more_datasets: str
    notes: tuple[str, ...]
    run: Version


def lay_out(verdict: Verdict, detail: Detail) -> CheckPage:
    """Put a verdict into words and places.

    Parameters
    ----------
    verdict : Verdict
    detail : Detail
        What is cut.

    Returns
    -------
    CheckPage
    """
    found = standings(verdict)
    broken = sorted(((s, o) for s, o in found if o.status == "broken"), key=lambda pair: pair[0] != "failed")
    unjudged = [CheckLine(ok=False, message=_unjudged(o, detail)) for s, o in found if s == "error"]
    detail = replace(
        detail, rows=min(detail.rows, max(_ROWS // max(len(broken), 1), 1)) if detail.rows else 0
    )
    rest = more(len(broken) - detail.rules, "broken rule", "broken rules, all in the table below")
    names = tuple(verdict.datasets) or tuple(dict.fromkeys(o.dataset for o in verdict.outcomes))
    return CheckPage(
        dataset=_names(names),
        headline=line(headline(verdict)),
        sentences=(f"{tally(verdict).capitalize()}.",),
        steps=_steps(verdict, broken, unjudged),
        broken=tuple(_broken(n, s, o, detail) for n, (s, o) in enumerate(broken[: detail.rules], 1)),
        more_broken=rest,
        unjudged=tuple(unjudged[: detail.rules]),
        rules=_rules(found, detail),
        datasets=tuple((line(name, NAME), _facts(verdict, name, detail)) for name in names[:_DATASETS]),
        more_datasets=more(len(names) - _DATASETS, "dataset", "datasets"),
        notes=tuple(line(note, detail.text) for note in verdict.notes[: detail.rules]),
        run=Version(line(verdict.version, NAME)),
    )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(line(name, 60) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "no dataset"  # noqa: PLR2004


def _steps(
    verdict: Verdict, broken: Sequence[tuple[Standing, Outcome]], unjudged: Sequence[CheckLine]
) -> tuple[Step, ...]:
    if not verdict.outcomes:
        return (Step("Name a dataset.", "Nothing was checked: no rule was selected, or no dataset named."),)
    steps = []
    if unjudged:
        steps.append(
            Step("See why a rule could not be judged.", "Until then the check fails with exit code 2.")
        )
    if broken:
        first = broken[0][1]
        steps.append(
            Step(f"Read the findings of {title(first)}.", "The rules that fail the check come first.")
        )
        accept = "Mend the rows in the data; accept with audit baseline create, later with update."
        steps.append(Step("Mend what is wrong, accept what is right.", accept))
    return tuple(steps) or (Step("Nothing needs to be done.", "Every rule that applies is kept."),)


def _broken(number: int, standing: Standing, outcome: Outcome, detail: Detail) -> Broken:
    value, limit = measured(outcome)
    base = (
        f"; {amount(outcome.base_value, outcome.rule.unit)} in the base"
        if words.known(outcome.base_value)
        else ""
    )
    besides = f"; {quiet(outcome)}" if quiet(outcome) else ""
    return Broken(
        number=number,
        name=title(outcome),
        severity=f"{outcome.rule.severity}, {_SEVERITIES[standing]}",
        tone="p" if standing == "failed" else "lo",
        dataset=dataset(outcome),
        title=line(outcome.rule.title, detail.text),
        message=told(outcome, length=detail.text),
        facts=f"Measured {value}, where the limit is {limit}{base}{besides}.",
        findings=_grid(outcome, detail) if outcome.findings and detail.rows else None,
        caption=f"Findings of {title(outcome)} in {dataset(outcome)}, the strongest first",
        doc=as_html(outcome.rule.doc) if detail.documented else None,
    )


def _grid(outcome: Outcome, detail: Detail) -> Grid:
    """Return the findings, those that gate first, with the columns that say something."""
    findings = sorted(outcome.findings, key=lambda f: not f.gates)[: detail.rows]
    states = [_state(f) for f in findings]
    scores = [f.score for f in findings]
    columns = {"where": [line(where(f.site), detail.text) for f in findings]}
    columns["finding"] = [said(f, length=detail.text) for f in findings]
    if any(words.known(score) for score in scores):
        columns["score"] = [words.short(score) for score in scores]
    if any(states):
        columns["state"] = [line(state, detail.text) or words.MISSING for state in states]
    left = more(outcome.total - len(findings), "finding", "findings")
    return Grid(tuple(columns), tuple(zip(*columns.values(), strict=True)), left)


def _state(finding: Finding) -> str:
    return f"accepted: {finding.accepted}" if finding.accepted else finding.state


def _unjudged(outcome: Outcome, detail: Detail) -> str:
    return f"{title(outcome)} on {dataset(outcome)}: {told(outcome, length=detail.text)}"


def _rules(found: Sequence[tuple[Standing, Outcome]], detail: Detail) -> Grid:
    rows = tuple(
        (title(o), dataset(o), _RESULTS[s], *measured(o), told(o, length=detail.text // 2))
        for s, o in found[: detail.lines]
    )
    head = ("rule", "dataset", "result", "measured", "limit", "in words")
    return Grid(head, rows, more(len(found) - len(rows), "outcome", "outcomes"))


def _facts(verdict: Verdict, name: str, detail: Detail) -> Pairs:
    facts = verdict.datasets.get(name, {})
    return tuple(
        (line(key.replace("_", " "), NAME), line(_plain(value), detail.text))
        for key, value in list(facts.items())[:_FACTS]
        if value not in (None, "", [], ())
    )


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return words.count(value)
    if isinstance(value, float):
        return words.short(value)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(entry) for entry in value) or words.MISSING
    return words.MISSING if value in (None, "") else str(value)
