"""A verdict in words: how it all came out, which findings count, and what is said of each."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from dataaudit.escape import line
from dataaudit.findings.verdict import (
    BROKEN,
    FAILED,
    NOT_ASKED,
    Finding,
    Outcome,
    Place,
    Verdict,
    singular,
    where,
)
from dataaudit.report import words
from dataaudit.report.common import few

Standing = Literal["failed", "warning", "error", "passed", "skipped"]
LONGEST: Final = 1000  # characters of a message
NAME: Final = 120  # characters of a name
_PLURAL: Final = ("warning", "error")


def standings(verdict: Verdict) -> tuple[tuple[Standing, Outcome], ...]:
    """Return all outcomes and how they count, in pytest's words.

    A broken rule that is not severe enough to fail the gate is a ``warning``; one that could not be judged is
    an ``error``.
    """
    failing = {id(outcome) for outcome in verdict.failing}
    named: dict[str, Standing] = {"passed": "passed", "skipped": "skipped", "failed": "error"}
    return tuple(
        (named.get(outcome.status) or ("failed" if id(outcome) in failing else "warning"), outcome)
        for outcome in verdict.outcomes
    )


def tally(verdict: Verdict) -> str:
    """Return how many outcomes count as what: ``2 failed, 1 warning, 20 passed``."""
    found = Counter(standing for standing, _ in standings(verdict))
    order: tuple[Standing, ...] = ("failed", "error", "warning", "passed", "skipped")
    return ", ".join(_counted(found[name], name) for name in order if found[name]) or "no rule was checked"


def headline(verdict: Verdict) -> str:
    """Say in a few words whether the data pass."""
    if not verdict.outcomes:
        return "No rule was checked"
    failing, broken = len(verdict.failing), len(verdict.broken)
    if verdict.exit_code == FAILED:
        unjudged = sum(outcome.status == "failed" for outcome in verdict.outcomes)
        also = f", {few(failing, 'rule')} broken" if failing else ""
        return f"{few(unjudged, 'rule')} could not be judged{also}"
    if verdict.exit_code == BROKEN:
        return f"{few(failing, 'rule')} broken"
    if broken:
        return f"The data pass, with {_counted(broken, 'warning')}"
    return "The data pass"


def is_unjudged(outcome: Outcome) -> bool:
    """Whether a rule that was asked for met nothing to judge; what was not asked for does not count."""
    return outcome.status == "skipped" and not outcome.message.startswith(NOT_ASKED)


def unjudged(verdict: Verdict) -> tuple[str, ...]:
    """Say which rules met nothing to judge, and why: a sentence a reason."""
    rules: dict[tuple[str, str], list[str]] = {}
    for outcome in filter(is_unjudged, verdict.outcomes):
        key = line(outcome.dataset, NAME), message(outcome, length=300)
        rules.setdefault(key, []).append(line(outcome.rule.code, 40))
    return tuple(f"{name}: skipped {', '.join(codes)}: {why}" for (name, why), codes in rules.items())


def blocking(outcome: Outcome) -> tuple[Finding, ...]:
    """Return the findings for which a rule is broken; none where it is not."""
    return tuple(f for f in outcome.findings if f.gates) if outcome.status == "broken" else ()


def reported(outcome: Outcome, *, accepted: bool) -> tuple[Finding, ...]:
    """Return the findings that a service is to keep track of, those that gate first.

    A service compares a report with that of the target branch: what is known from the base must stay in it,
    or would be shown as fixed. What a rule tolerates because its limit leaves room is no finding. `accepted`
    says whether accepted ones are wanted too.
    """
    counts = outcome.status == "broken" or outcome.rule.limit <= 0
    kept = [f for f in outcome.findings if (accepted if f.accepted else counts)]
    return tuple(sorted(kept, key=lambda f: not f.gates))


def unlisted(outcome: Outcome, shown: int) -> int:
    """Return how many findings that may gate are not among the first `shown`."""
    quiet = sum(not f.gates for f in outcome.findings)
    return max(outcome.total - quiet - shown, 0)


def single(outcome: Outcome) -> bool:
    """Whether the one finding is the dataset itself: the outcome as a whole would say the same again."""
    return outcome.rule.scope == "dataset" and len(outcome.findings) == 1


def title(outcome: Outcome) -> str:
    """Name the rule of an outcome: ``DA101 suspect-labels``."""
    return f"{line(outcome.rule.code, 40)} {line(outcome.rule.name, NAME)}"


def finding_text(finding: Finding, place: Place | None = None, *, length: int = LONGEST) -> str:
    """Return a finding's message in one line, with the name of its row where the place does not show it.

    `place` is where a service will show it; None where it is shown with its own name.
    """
    site, text = finding.site, finding.message
    name = where(site)
    parts = [line(name, NAME)] if place and not place.own else []
    if site.row_id and site.row_id != name and site.row_id not in text:
        parts.append(line(site.row_id, NAME))
    return ": ".join([*parts, line(text, length)])


def message(outcome: Outcome, *, length: int = LONGEST) -> str:
    """Return the message of an outcome as a whole."""
    return line(outcome.message, length)


def amount(value: float | None, unit: str) -> str:
    """Return a measure with its unit: ``43 rows``, ``1 row``, ``2.0 %``."""
    if value is None or not words.known(value):
        return words.MISSING
    if unit == "share":
        return words.share(value)
    number = words.count(value) if float(value).is_integer() else words.short(value)
    name = line(unit, 40)
    return f"{number} {singular(name) if number == '1' else name}".strip()


def measured(outcome: Outcome) -> tuple[str, str]:
    """Return what was measured, and the limit, each with its unit: ``43 rows``, ``0 rows``."""
    unit = outcome.rule.unit
    return amount(outcome.value, unit), amount(outcome.rule.limit, unit)


def accepted_or_known(outcome: Outcome) -> str:
    """Say how many of the listed findings are known from the base or accepted; nothing where none is."""
    accepted = sum(bool(f.accepted) for f in outcome.findings)
    known = sum(f.state == "known" and not f.accepted for f in outcome.findings)
    parts = [f"{words.count(known)} known from the base"] if known else []
    return ", ".join([*parts, f"{words.count(accepted)} accepted"] if accepted else parts)


def _counted(n: int, name: str) -> str:
    return f"{words.count(n)} {name}{'s' if name in _PLURAL and n != 1 else ''}"
