"""The answer of `audit mismatch` in sentences, so that page, console and JSON say the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from dataaudit.findings.schemas import MismatchProvenance
from dataaudit.summary.mismatch_shapes import Difference, FindingCard
from dataaudit.summary.shapes import Trust, Verdict
from dataaudit.summary.unjudged import unjudged
from dataaudit.summary.verdict import checks

_NBSP: Final = "\N{NO-BREAK SPACE}"
_NAMED: Final = 3


def mismatch_verdict(
    provenance: MismatchProvenance,
    *,
    findings: Sequence[FindingCard],
    shift: Sequence[Difference],
    trust: Trust,
) -> Verdict:
    """Say how many predictions are wrong, what was found, and whether it is inputs or labels.

    Parameters
    ----------
    provenance : MismatchProvenance
        Counts and losses.
    findings, shift, trust
        The parts of the summary that the sentences rest on.

    Returns
    -------
    Verdict
    """
    if not labelled(provenance):
        said = "The test rows have no labels: only their inputs are compared, no prediction can be judged."
        rest = [said, _apart(shift), checks(trust)]
        return Verdict(_inputs(provenance, shift), tuple(sentence for sentence in rest if sentence))
    sentences = [
        unjudged(provenance),
        _losses(provenance),
        _found(findings, provenance.n_errors),
        _cause(shift),
        checks(trust),
    ]
    return Verdict(_headline(provenance), tuple(sentence for sentence in sentences if sentence))


def labelled(provenance: MismatchProvenance) -> bool:
    """Whether the test rows have labels, so that predictions could be judged."""
    return math.isfinite(provenance.test_loss)


def _headline(provenance: MismatchProvenance) -> str:
    n, wrong = provenance.n_test, provenance.n_errors
    if not wrong:
        return f"None of {n:,} labelled test rows is mispredicted"
    are = "is" if wrong == 1 else "are"
    return f"{wrong:,} of {n:,} labelled test rows {are} mispredicted ({_percent(wrong / n)})"


def _percent(share: float) -> str:
    digits = 1 if share >= 0.001 else 2  # noqa: PLR2004 - below a tenth of a per cent
    return f"{100 * share:.{digits}f}{_NBSP}%"


def _losses(provenance: MismatchProvenance) -> str:
    test, train, n = provenance.test_loss, provenance.train_loss, provenance.n_train
    worse = "worse" if test > train else "no worse"
    means = f"{test:.3g} nats, that of the {n:,} training rows {train:.3g} nats"
    return f"The mean loss of the test rows is {means}: the model does {worse} on what it did not see."


def _found(findings: Sequence[FindingCard], n_errors: int) -> str:
    if not findings:
        return "No slice and no group of training rows explains the errors." if n_errors else ""
    counts = {name: sum(f.severity == name for f in findings) for name in ("high", "medium", "note")}
    parts: list[str] = []
    for name in ("high", "medium"):
        noun = "" if parts else " finding" if counts[name] == 1 else " findings"
        parts += [f"{counts[name]}{noun} of {name} severity"] if counts[name] else []
    if counts["note"]:
        parts.append(f"{counts['note']} {'note' if counts['note'] == 1 else 'notes'}")
    return f"Found: {_joined(parts)}{_first(findings)}."


def _first(findings: Sequence[FindingCard]) -> str:
    names = [f.slice for f in findings if f.severity == "high" and f.slice][:_NAMED]
    return f", above all about {_joined([f'“{name[:60]}”' for name in names])}" if names else ""


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _cause(shift: Sequence[Difference]) -> str:
    """Say whether inputs or labels explain the difference of loss, by the comparison over all columns."""
    parts = {d.level: d for d in shift if d.measure == "loss" and d.column is None}
    inputs, labels = parts.get("inputs"), parts.get("labels")
    if inputs is None or labels is None:
        return ""
    worse = [name for name, d in (("inputs", inputs), ("labels", labels)) if _raises(d)]
    sizes = f"inputs {_moves(inputs)}, labels given the inputs {_moves(labels)}"
    if worse == ["labels"]:
        return f"It is the labels, not the inputs: against training, {sizes}."
    if worse == ["inputs"]:
        return f"It is the inputs, not the labels: against training, {sizes}."
    if worse:
        return f"It is inputs and labels: against training, {sizes}."
    if not (inputs.significant or labels.significant):
        return "Neither other inputs nor other labels change the loss beyond chance, taken over all rows."
    return f"Neither other inputs nor other labels make the loss larger beyond chance: {sizes}."


def _raises(difference: Difference) -> bool:
    return bool(difference.significant) and (difference.value or 0.0) > 0


def _moves(difference: Difference) -> str:
    value = difference.value or 0.0
    if not difference.significant:
        return "move the loss no more than chance does"
    return f"{'raise' if value > 0 else 'lower'} the loss by {abs(value):.2g} nats a row"


def _inputs(provenance: MismatchProvenance, shift: Sequence[Difference]) -> str:
    columns = dict.fromkeys(
        d.column for d in shift if d.column is not None and d.significant and d.measure != "label"
    )
    n = len(columns)
    rows = f"{provenance.n_test:,} test rows"
    if not n:
        return f"The inputs of {rows} differ from training in no column beyond chance"
    return f"The inputs of {rows} differ from training in {n:,} {'column' if n == 1 else 'columns'}"


def _apart(shift: Sequence[Difference]) -> str:
    return next((d.message for d in shift if d.measure == "two-sample" and d.column is None), "")
