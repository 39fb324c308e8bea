"""What stands where on the page, every number in words; the templates in ``reports/`` only set it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from dataaudit.summary import Summary
from dataaudit.writers import figures, matrices, words
from dataaudit.writers.cards import Card, card
from dataaudit.writers.charts import Plot
from dataaudit.writers.escape import line
from dataaudit.writers.matrices import BarList, Matrix

FIRST: Final = 10  # rows to look at first
_ROLES, _LISTED = 120, 60  # columns; classes, files and settings
_GOOD: Final = (0.9, 1.1)  # a slope within reads as agreement


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check of the audit itself, as a sentence."""

    ok: bool
    message: str


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
    labels: tuple[str, ...]
    plots: tuple[Plot, ...]
    noise: Matrix | None
    by_label: BarList | None
    roles: tuple[tuple[str, str, str], ...]
    more_roles: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    command: str
    origins: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, ...], ...]
    versions: tuple[tuple[str, ...], ...]
    version: str


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
    roles = [(line(r["column"]), line(r["role"]), line(r["reason"], 300)) for r in p["roles"]]
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
        trust=_trust(summary),
        checks=tuple(CheckLine(c.ok, line(f"{c.message or c.check}", 400)) for c in summary.trust.checks),
        trust_plots=tuple(f for f in (figures.refits(summary), figures.calibration(summary)) if f),
        shown=f"Rows 1 to {words.count(rows)} of {words.count(p['n_rows'])}, the most suspect first.",
        more=_more(p["n_rows"] - rows, "row", "rows, all in labels.parquet beside this page"),
        marked=any(term.role == "text" for row in summary.rows[:rows] for term in row.evidence),
        labels=tuple(sorted({line(row.label, 60) for row in summary.rows[:rows]})),
        plots=tuple(plot for figure in plots if (plot := figure(summary))),
        noise=matrices.noise(summary),
        by_label=matrices.by_label(summary),
        roles=tuple(roles[:_ROLES]),
        more_roles=_more(len(roles) - _ROLES, "column", "columns"),
        notes=tuple(line(note, 600) for note in p["notes"][:_LISTED]),
        facts=_facts(summary),
        command=line(p["command"], 2000),
        origins=_origins(summary),
        settings=tuple((line(key), line(_plain(value), 300)) for key, value in sorted(p["settings"].items())),
        versions=tuple((line(key), line(_plain(value))) for key, value in sorted(p["versions"].items())),
        version=line(p["version"]),
    )


def _more(n: int, one: str, many: str) -> str:
    return f"… and {words.count(n)} more {one if n == 1 else many}." if n > 0 else ""


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


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
        "Go down the ranked rows as far as your time allows.",
        f"{far}stop when suggestions are mostly wrong." if far else "Stop when suggestions are mostly wrong.",
    )
    mend = Step(
        "Correct the labels in your data and run the audit again.",
        "labels.parquet, beside this page, has each row’s row_id, label, suggested_label and p_wrong.",
    )
    failed = summary.trust.failed[:1]
    warning = [Step("See what is wrong with the audit itself.", line(check.message, 400)) for check in failed]
    return (*warning, first, go_on, mend)


def _order(summary: Summary) -> str:
    p = summary.provenance
    ranking = words.RANKINGS.get(p["ranking"], line(p["ranking"]))
    said = p["ranking_reason"] in summary.verdict.sentences
    return f"In order of {ranking}. {'' if said else line(p['ranking_reason'], 400)}".strip()


def _trust(summary: Summary) -> str:
    """Say in one sentence whether the predictions hold; the charts show it."""
    trust = summary.trust
    if trust.slope is None or trust.pearson is None:
        return "No refits were made in this run, so the predicted changes of loss are not verified."
    low, high = _GOOD
    agree = "agree" if low <= trust.slope <= high else "do not agree well"
    found = f"slope {words.fixed(trust.slope, 3)}, Pearson’s correlation {words.fixed(trust.pearson, 4)}"
    return f"Predicted and measured changes of loss {agree} over {len(trust.refits)} true refits: {found}."


def _facts(summary: Summary) -> tuple[tuple[str, str], ...]:
    p = summary.provenance
    classes = ", ".join(line(name, 60) for name in p["classes"][:_LISTED])
    more = len(p["classes"]) - _LISTED
    return (
        ("Run", line(p["run_id"])),
        ("Rows", words.count(p["n_rows"])),
        ("Features", words.count(p["n_features"])),
        (f"Classes of {line(p['target'], 60)}", classes + (f" … and {more} more" if more > 0 else "")),
        ("Encoding", line(p["basis"], 300)),
        ("λ (ridge)", words.short(p["l2"])),
        ("Solver", f"{line(p['solver'])}: {line(p['solver_reason'], 400)}"),
        ("Gradient at the fit", words.short(p["gradient_norm"])),
        ("Seed", str(p["seed"])),
    )


def _origins(summary: Summary) -> tuple[tuple[str, ...], ...]:
    origins = summary.provenance["origins"]
    keys = ("path", "format", "rows", "sha256")
    rows = [tuple(line(_plain(origin.get(key, ""))) for key in keys) for origin in origins[:_LISTED]]
    more = len(origins) - _LISTED
    return (*rows, (f"… and {more} more",)) if more > 0 else tuple(rows)
