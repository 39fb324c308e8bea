"""What stands where on the page, every number in words; the templates in ``reports/`` only set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import Matrix, Plot
from dataaudit.summary import REPAIR, Summary
from dataaudit.writers import figures, matrices
from dataaudit.writers.cards import Card, card
from dataaudit.writers.matrices import BarList
from dataaudit.writers.run import CheckLine, Run, agreement, check_lines, describe_run, more

FIRST: Final = 10  # rows to look at first


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page's parts in the order in which they are read."""

    dataset: str
    headline: str
    sentences: tuple[str, ...]
    steps: tuple[Step, ...]
    first_title: str
    first: tuple[Card, ...]
    order: str
    trust: str
    checks: tuple[CheckLine, ...]
    trust_plots: tuple[Plot, ...]
    shown: str
    more: str
    marked: bool
    apply: str
    labels: tuple[str, ...]
    plots: tuple[Plot, ...]
    noise: Matrix | None
    by_label: BarList | None
    run: Run


def lay_out(summary: Summary, *, rows: int) -> Page:
    """Put a summary into words and places.

    Parameters
    ----------
    summary : Summary
    rows : int
        How many ranked rows the page has room for.

    Returns
    -------
    Page
    """
    p = summary.provenance
    plots = (figures.p_wrong, figures.loo_loss, figures.budget, figures.selection)
    first = tuple(card(row) for row in summary.rows[:FIRST])
    title = "The ten rows to look at first" if len(first) == FIRST else "The rows to look at first"
    return Page(
        dataset=line(p["dataset"]),
        headline=line(summary.verdict.headline),
        sentences=tuple(line(sentence, 600) for sentence in summary.verdict.sentences),
        steps=_steps(summary),
        first_title=title,
        first=first,
        order=_order(summary),
        trust=agreement(
            summary.trust,
            none="No refits were made in this run, so the predicted changes of loss are not verified.",
        ),
        checks=check_lines(summary.trust.checks),
        trust_plots=tuple(f for f in (figures.refits(summary), figures.calibration(summary)) if f),
        shown=f"Rows 1 to {words.count(rows)} of {words.count(p['n_rows'])}, the most suspect first.",
        more=more(p["n_rows"] - rows, "row", "rows, all in labels.parquet beside this page"),
        marked=any(term.role == "text" for row in summary.rows[:rows] for term in row.evidence),
        apply=next((line(c.command, 2000) for c in summary.next_commands if c.purpose == REPAIR), ""),
        labels=tuple(sorted({line(row.label, 60) for row in summary.rows[:rows]})),
        plots=tuple(plot for figure in plots if (plot := figure(summary))),
        noise=matrices.noise(summary),
        by_label=matrices.by_label(summary),
        run=describe_run(p, facts=_facts(summary), origins=p["origins"]),
    )


def _steps(summary: Summary) -> tuple[Step, ...]:
    n = min(FIRST, len(summary.rows))
    first = Step(
        f"Read the {'ten' if n == FIRST else n} rows below.",
        "Each shows its label, struck out, and the label that the other rows suggest. "
        "If most suggestions are right, the list is worth going on with.",
    )
    half = next((s for s in summary.budget if s.rows), None)
    far = (
        f"The first {half.rows:,} hold {words.share(half.share, 0)} of the expected wrong labels; "
        if half
        else ""
    )
    go_on = Step(
        "Review the ranked rows as far as your time allows.",
        f"{far}one key a row: a accepts the suggestion, x keeps the label. The page says when it is enough."
        if far
        else "One key a row: a accepts the suggestion, x keeps the label. The page says when it is enough.",
    )
    mend = Step(
        "Download your decisions and carry them out with audit apply.",
        "It writes repaired data, a journal that undoes it, and the model before and after. "
        "The whole ranking is in labels.parquet.",
    )
    failed = summary.trust.failed[:1]
    warning = [Step("See what is wrong with the audit itself.", line(check.message, 400)) for check in failed]
    return (*warning, first, go_on, mend)


def _order(summary: Summary) -> str:
    p = summary.provenance
    ranking = words.RANKINGS.get(p["ranking"], line(p["ranking"]))
    said = p["ranking_reason"] in summary.verdict.sentences
    return f"In order of {ranking}. {'' if said else line(p['ranking_reason'], 400)}".strip()


def _facts(summary: Summary) -> tuple[tuple[str, str], ...]:
    p = summary.provenance
    return ("Run", line(p["run_id"])), ("Rows", words.count(p["n_rows"]))
