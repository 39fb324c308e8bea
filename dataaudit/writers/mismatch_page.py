"""What stands where on the page of a mismatch, every number in words: ``mismatch.html.j2`` sets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import Lanes, Plot
from dataaudit.summary import Difference, MismatchSummary, SliceLine
from dataaudit.writers import figures as common
from dataaudit.writers import mismatch_figures as figures
from dataaudit.writers.matrices import BarList, BarRow
from dataaudit.writers.mismatch_cards import Detail, FindingText, Grid, Pair, finding_text, pair
from dataaudit.writers.page import Step
from dataaudit.writers.run import CheckLine, Run, agreement, check_lines, describe_run, more

_BARS: Final = 12  # columns compared by bars
_FIRST_HARMFUL: Final = 20
_MANY: Final = 10  # times, from which on no tenths are told


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchPage:
    """The page's parts in the order in which they are read."""

    dataset: str
    headline: str
    labelled: bool
    sentences: tuple[str, ...]
    steps: tuple[Step, ...]
    findings: tuple[FindingText, ...]
    more_findings: str
    findings_lead: str
    trust: str
    checks: tuple[CheckLine, ...]
    trust_plots: tuple[Plot, ...]
    slices: Grid
    cause: tuple[str, ...]
    apart: BarList | None
    columns: tuple[Lanes, ...]
    shift: Grid
    concentration: Plot | None
    pairs: tuple[Pair, ...]
    harmful: Grid
    selection: Plot | None
    run: Run


def lay_out(summary: MismatchSummary, detail: Detail) -> MismatchPage:
    """Put a summary into words and places.

    Parameters
    ----------
    summary : MismatchSummary
    detail : Detail
        How much the page has room for.

    Returns
    -------
    MismatchPage
    """
    p = summary.provenance
    n_train, n_test = p["n_train"], p["n_test"]
    return MismatchPage(
        dataset=line(f"{line(p['train'], 80)} against {line(p['test'], 80)}"),
        headline=line(summary.verdict.headline),
        labelled=summary.labelled,
        sentences=tuple(line(sentence, 600) for sentence in summary.verdict.sentences),
        steps=_steps(summary),
        findings=tuple(
            finding_text(card, l2=p["l2"], detail=detail, label=p["target"])
            for card in summary.findings[: detail.findings]
        ),
        more_findings=more(
            len(summary.findings) - detail.findings, "finding", "findings, all in findings.parquet"
        ),
        findings_lead=_lead(summary),
        trust=agreement(
            summary.trust,
            none="Too few refits were made in this run to compare predicted with measured changes of loss.",
        ),
        checks=check_lines(summary.trust.checks),
        trust_plots=tuple(f for f in (figures.proofs(summary), figures.single_rows(summary)) if f),
        slices=_slices(summary, detail),
        cause=_cause(summary),
        apart=_apart(summary),
        columns=tuple(
            figures.levels(column, number=at, totals=(n_train, n_test))
            for at, column in enumerate(summary.columns)
        ),
        shift=_shift(summary, detail),
        concentration=figures.concentration(summary),
        pairs=_pairs(summary, detail),
        harmful=_harmful(summary),
        selection=common.selection(summary) if len({c.l2 for c in summary.selection}) > 1 else None,
        run=describe_run(p, facts=_facts(summary), origins=(*p["origins"], *p["test_origins"])),
    )


def _steps(summary: MismatchSummary) -> tuple[Step, ...]:
    steps = [
        Step("See what is wrong with the audit itself.", line(check.message, 400))
        for check in summary.trust.failed[:1]
    ]
    if not summary.labelled:
        look = "Those that differ most come first; each says by how much, and whether chance does that."
        judge = (
            "With the labels of some hundred test rows the audit says which predictions are wrong, and why."
        )
        return (*steps, Step("Look at the columns that differ.", look), Step("Label some test rows.", judge))
    if summary.findings:
        first = summary.findings[0]
        steps.append(Step(f"Begin with finding {first.finding}.", line(first.advice, 1000)))
        look = "Each finding shows its training rows: correct wrong labels, drop rows that do not belong."
        steps.append(Step("Go through the findings and look at their rows.", look))
        again = "What one finding explains may settle others; the numbers below hold for this model only."
        steps.append(Step("Audit again after each change.", again))
    else:
        none = "No few training rows carry the errors: look at the traced rows and at what differs in test."
        steps.append(Step("Look at the rows and columns below.", none))
    return tuple(steps)


def _lead(summary: MismatchSummary) -> str:
    n = len(summary.findings)
    if not n:
        return "No slice and no group of training rows stands out."
    many = "One finding" if n == 1 else f"{words.count(n)} findings, the most severe first"
    return (
        f"{many}. Predicted is one Newton step for the whole group of rows (for class rates: Bayes’ rule), "
        "measured is a true refit of the model without them; in both, the other rows and the ridge stay as "
        "they are. The two part where the loss is far from a parabola on the way, mostly for larger groups."
    )


def _slices(summary: MismatchSummary, detail: Detail) -> Grid:
    head = (
        "slice", "training rows", "test rows", "wrong", "wrong without its training rows", "labelled",
        "of training", "of test", "mean loss", "harm of its training rows", "their share of the influence",
        "lift", "chance",
    )  # fmt: skip
    shown = summary.slices[: detail.lines]
    left = more(summary.n_slices - len(shown), "slice", "slices, all in slices.parquet beside this page")
    return Grid(head, tuple(_slice(one) for one in shown), left)


def _slice(s: SliceLine) -> tuple[str, ...]:
    train, test = figures.rate_rows(s)
    spans = (f"{rate} ({low} to {high})" for _, _, rate, low, high in (train, test))
    return (
        line(s.name, 120),
        words.count(s.n_train),
        words.count(s.n_test),
        words.count(s.n_errors),
        words.count(s.errors_without),
        line(s.rate_class, 40),
        *spans,
        f"{words.fixed(s.loss)} nats",
        _harm(s.harm),
        words.share(s.influence_share),
        f"{words.fixed(s.lift, 0 if s.lift >= _MANY else 1)} times" if words.known(s.lift) else words.MISSING,
        _chance(s.p_value),
    )


def _harm(value: float) -> str:
    if not words.known(value):
        return words.MISSING
    return f"{'raise' if value > 0 else 'lower'} the loss by {words.short(abs(value), 2)} nats a test row"


def _chance(p: float | None) -> str:
    if p is None or not words.known(p):
        return words.MISSING
    return "below 0.0001" if p < 1e-4 else words.short(p, 2)  # noqa: PLR2004 - what is said


def _cause(summary: MismatchSummary) -> tuple[str, ...]:
    """Return the comparisons over all columns, as sentences."""
    whole = [d for d in summary.shift if d.column is None or d.measure in ("label", "conflict")]
    return tuple(line(d.message, 600) for d in whole if d.message)


def _apart(summary: MismatchSummary) -> BarList | None:
    """List the columns that are distributed differently, the most different first."""
    found = [d for d in summary.shift if d.measure == "covariate" and d.column is not None]
    found.sort(key=lambda d: (not d.significant, -(d.value or 0.0)))
    if not found:
        return None
    most = max(d.value or 0.0 for d in found) or 1.0
    rows = tuple(
        BarRow(
            line(d.column or "", 60),
            (words.fixed(d.value, 3), _beyond(d)),
            round(100 * min((d.value or 0.0) / most, 1.0), 1),
        )
        for d in found[:_BARS]
    )
    return BarList(
        "apart",
        "How far the columns are apart",
        "Distance of a column’s distribution in test from that in training, from 0 (alike) to 1.",
        ("column", "distance", "by chance?", "compared"),
        rows,
        more(len(found) - _BARS, "column", "columns: see the table below"),
    )


def _beyond(difference: Difference) -> str:
    if difference.significant is None:
        return "not tested"
    return "no, beyond chance" if difference.significant else "may be chance"


def _shift(summary: MismatchSummary, detail: Detail) -> Grid:
    shown = summary.shift[: detail.lines]
    rows = tuple(
        (line(d.column or "all columns", 60), line(d.measure), line(d.message, 500), _chance(d.p_value))
        for d in shown
    )
    left = more(len(summary.shift) - len(shown), "comparison", "comparisons, all in shift.parquet")
    return Grid(("column", "compared", "what differs", "chance"), rows, left)


def _pairs(summary: MismatchSummary, detail: Detail) -> tuple[Pair, ...]:
    """Return traced test rows, the columns of their finding first."""
    first = {
        card.finding: [cell.column for row in card.rows[:1] for cell in row.cells]
        for card in summary.findings
    }
    label = summary.provenance["target"]
    return tuple(
        pair(trace, first=first.get(trace.finding or 0, ()), detail=detail, label=label)
        for trace in summary.traces[: detail.pairs]
        if trace.harmful or trace.helpful
    )


def _harmful(summary: MismatchSummary) -> Grid:
    rows = tuple(
        (
            line(one.train_row_id, 120),
            line(one.label, 60),
            _lowers("summed loss of the mispredicted test rows", one.harm_on_errors),
            _lowers("summed loss of all test rows", one.harm_on_test),
        )
        for one in summary.harmful[:_FIRST_HARMFUL]
    )
    head = ("training row", line(summary.provenance["target"], 60), "removing it", "and")
    return Grid(head, rows, "")


def _lowers(loss: str, harm: float) -> str:
    """Say what removing a row does to a loss that it costs so much."""
    if not words.known(harm):
        return f"changes the {loss} by an unknown amount"
    return f"{'lowers' if harm > 0 else 'raises'} the {loss} by {words.short(abs(harm))} nats"


def _facts(summary: MismatchSummary) -> tuple[tuple[str, str], ...]:
    p = summary.provenance
    return (
        ("Run", line(p["run_id"])),
        ("Training rows", words.count(p["n_train"])),
        ("Test rows", words.count(p["n_test"])),
    )
