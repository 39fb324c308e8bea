"""The answer of `audit labels` in sentences, so that page, console and JSON say the same thing."""

from __future__ import annotations

import math
from typing import Final

from dataaudit.findings.schemas import Findings
from dataaudit.summary.shapes import BudgetStep, LabelCount, Trust, Verdict

_NBSP: Final = "\N{NO-BREAK SPACE}"
_NONE: Final = 0.5  # rows; below it a count rounds to none
_MANY: Final = 10.0  # rows from which on they are no few, and it is worth saying where they are
_SHARES: Final = {0.5: "half", 1.0: "all"}


def verdict(
    findings: Findings, budget: tuple[BudgetStep, ...], *, by_label: tuple[LabelCount, ...], trust: Trust
) -> Verdict:
    """Say how many labels are probably wrong, where to look, and whether the audit itself is in order.

    Parameters
    ----------
    findings : Findings
    budget, by_label, trust
        The parts of the summary that the sentences rest on.

    Returns
    -------
    Verdict
    """
    provenance = findings.provenance
    sentences = [
        _interval(provenance.expected_wrong, provenance.expected_low, provenance.expected_high),
        _budget(budget, provenance.expected_wrong),
        _skew(by_label, provenance.expected_wrong),
        provenance.ranking_reason if _fell_back(findings) else "",
        checks(trust),
    ]
    return Verdict(_headline(findings), tuple(sentence for sentence in sentences if sentence))


def _fell_back(findings: Findings) -> bool:
    """Whether another order than the default was used without being asked for."""
    provenance = findings.provenance
    return provenance.ranking != "p-wrong" and provenance.settings.get("rank") != provenance.ranking


def _headline(findings: Findings) -> str:
    provenance = findings.provenance
    n, expected, low = provenance.n_rows, provenance.expected_wrong, provenance.expected_low
    if not math.isfinite(expected):
        return f"How many of {n:,} labels are wrong cannot be estimated"
    share = f"{100 * expected / max(n, 1):.1f}{_NBSP}%"
    if expected < _NONE:
        return f"No sign of wrong labels in {n:,} rows"
    if low < _NONE and expected >= _MANY:
        return f"Perhaps {expected:,.0f} of {n:,} labels are wrong ({share}), perhaps none"
    if low < _NONE:
        return f"Few if any of {n:,} labels are wrong: about {expected:,.0f}"
    if _fell_back(findings):
        return f"Perhaps {expected:,.0f} of {n:,} labels are wrong ({share})"
    return f"About {expected:,.0f} of {n:,} labels are probably wrong ({share})"


def _interval(expected: float, low: float, high: float) -> str:
    if not all(map(math.isfinite, (expected, low, high))):
        return ""
    return f"The true number lies between {low:,.0f} and {high:,.0f} with 90{_NBSP}% confidence."


def _budget(budget: tuple[BudgetStep, ...], expected: float) -> str:
    if not budget or not expected >= _NONE:
        return ""
    shares = [_SHARES.get(step.share, f"{100 * step.share:.0f}{_NBSP}%") for step in budget]
    first = f"Expect {shares[0]} of them in the first {budget[0].rows:,} rows of the list"
    rest = [f"{share} in the first {step.rows:,}" for share, step in zip(shares[1:], budget[1:], strict=True)]
    return ", ".join([first, *rest]) + "."


def _skew(by_label: tuple[LabelCount, ...], expected: float) -> str:
    """Named where one label carries two thirds of the expected mistakes: it is usually one cause."""
    if len(by_label) <= 1 or not expected >= _MANY:
        return ""
    first, total = by_label[0], sum(entry.expected_wrong for entry in by_label)
    if not total or first.expected_wrong < 2 / 3 * total:
        return ""
    return f"Most of them ({first.expected_wrong:,.0f}) carry the label “{first.label[:60]}”."


def checks(trust: Trust) -> str:
    """Say whether the audit itself is in order; nothing where nothing was checked."""
    if not trust.checks:
        return ""
    failed, n = len(trust.failed), len(trust.checks)
    if failed:
        return f"{failed} of {n} checks of the audit itself failed: see how far to trust it before you act."
    return f"Every check of the audit itself passed ({n})."
