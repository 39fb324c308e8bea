"""Report of an audit of labels: how many are probably wrong, and which rows to look at."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import is_repaired
from dataaudit.escape import line, shown
from dataaudit.findings.schemas import COPIES, DATA_CHECKS, GROUPS, RESTATED, Findings, Provenance
from dataaudit.options import GROUP_HINT
from dataaudit.report import common, figures, words
from dataaudit.report.blocks import Cell, Inline, Report, Row, Rows, Section, Table
from dataaudit.report.rows import STOP, ReviewRow, class_keys, failures, review_row, review_rows, term_name

Budget = list[tuple[float, int]]  # shares of the expected wrong labels, and the rows to check to meet them

_NBSP: Final = "\N{NO-BREAK SPACE}"
_FIRST: Final = 10  # rows to look at first
_SHORT: Final = 20  # rows on a terminal
_AGAINST: Final = 3  # words or columns that speak against a label
_FEW: Final = 0.5  # rows; below it a count rounds to 0
_MANY: Final = 10.0  # rows from which on it is worth saying where they are
_SHARES: Final = {0.5: "half", 1.0: "all"}
_RANKINGS: Final = {
    "p-wrong": "the probability that the label is wrong",
    "leave-one-out": "the loss of a row when it is left out",
    "self-influence": "self-influence",
}
# A name that a page can hold exactly; longer ones are reviewed on a terminal.
_NAME, _CLASS, _CLASSES = 300, 200, 20_000
_EACH: Final = (
    "Each shows its label, struck out, and the label that the other rows suggest. "
    "If most suggestions are right, the list is worth going on with."
)
_APPLY: Final = (
    "It writes repaired data, a journal that undoes it, and the model before and after. "
    "The whole ranking is in labels.parquet."
)
_LEFT: Final = "were left out together"
_SETS, _LABELS = 3, 3  # sets of copies that are named, and rows of each, of different labels
_NO_REFITS: Final = "No refits were made in this run, so the predicted changes of loss are not verified."


def report(f: Findings, *, top: int = 500, folder: str = "", whole: Findings | None = None) -> Report:
    """Say how many labels are probably wrong, which rows to look at, and what to type next.

    Decisions go by the names that rows have in `whole`, by default those shown.
    """
    p = f.provenance
    n, data = words.count(p.n_rows), (Cell(p.dataset, 120),)
    rows, counts = review_rows(f, top), by_label(f.labels)
    budget: Budget = list(f.budget.sort("share").iter_rows())
    blocks = tuple(review_row(row) for row in rows)
    causes = _causes(f)
    sentences = common.said(
        *causes,
        "" if _may_hide(f) else _interval(p.expected_wrong, p.expected_low, p.expected_high),
        _expected(budget, p.expected_wrong),
        _skew(counts, p.expected_wrong),
        p.ranking_reason if _fell_back(f) else "",
        *(one for one in _together(f, copies=not _leads(f, COPIES)) if one not in causes),
        common.checked(f.health),
    )
    return Report(
        kind="labels",
        over=("Label audit of ", Cell(p.dataset, 200)),
        name=data,
        facts=common.heading(p, f"{n} rows, {words.count(p.n_features)} features"),
        headline=_headline(f),
        sentences=sentences,
        about=common.about(p, (*data, f": {n} rows")),
        steps=(*failures(f.health), *_steps(len(rows), budget)),
        sections=(
            common.notes(p, folder, said=causes),
            _first(p, rows, blocks, "" if p.ranking_reason in sentences else p.ranking_reason),
            _trust(f),
            _ranked(f, rows, blocks, _queue(whole or f, rows), folder),
            _charts(f, budget),
            Section("By label", (figures.by_label(counts),) if counts else (), rank=1, key="by-label"),
            _following(f, folder),
            *common.run(p, (("Run", Cell(p.run_id)), ("Rows", n))),
        ),
        lines=(Table(caption="Rows", rows=tuple(map(_line, rows))),),
        records="labels",
        version=p.version,
        provenance=p.to_dict(),
    )


def by_label(labels: pl.DataFrame) -> list[tuple[str, int, float]]:
    """Count the rows that carry each label, and how many of them are expected to be wrong."""
    wrong = pl.col("p_wrong").fill_nan(None).sum()
    counts = labels.group_by("label").agg(pl.len(), wrong).sort("p_wrong", "label", descending=[True, False])
    return list(counts.iter_rows())


def _leading(f: Findings) -> pl.DataFrame:
    """Return the checks of the data that found what a reader should know first."""
    above = (pl.col("value") > pl.col("limit")).fill_null(value=False)
    return f.health.filter(pl.col("check").is_in(DATA_CHECKS) & above)


def _leads(f: Findings, check: str) -> bool:
    return check in _leading(f)["check"]


def _causes(f: Findings) -> tuple[str, ...]:
    """Say what in the data would let wrong labels look right, whether it was left out or not."""
    found = _leading(f)
    return tuple(found.sort("ok", maintain_order=True)["message"])


def _may_hide(f: Findings) -> bool:
    """Whether wrong labels may look right: a column that holds the label, or groups, were not left out."""
    return not _leading(f).filter(pl.col("check").is_in([RESTATED, GROUPS]))["ok"].all()


def _fell_back(f: Findings) -> bool:
    """Whether another order than the default was used without being asked for."""
    p = f.provenance
    return p.ranking != "p-wrong" and p.settings.get("rank") != p.ranking


def _headline(f: Findings) -> str:
    p = f.provenance
    n, expected, low = p.n_rows, p.expected_wrong, p.expected_low
    if not math.isfinite(expected):
        return f"How many of {n:,} labels are wrong cannot be estimated"
    share = f"{100 * expected / max(n, 1):.1f}{_NBSP}%"
    if low < _FEW and expected < _MANY and _may_hide(f):
        return f"Wrong labels may look right in these {n:,} rows"
    if expected < _FEW:
        return f"No sign of wrong labels in {n:,} rows"
    if low < _FEW and expected < _MANY:
        return f"Few if any of {n:,} labels are wrong: about {expected:,.0f}"
    are = "may be" if low < _FEW or _fell_back(f) else "are probably"
    return f"About {expected:,.0f} of {n:,} labels {are} wrong ({share})"


def _interval(expected: float, low: float, high: float) -> str:
    if not all(map(math.isfinite, (expected, low, high))):
        return ""
    return f"The true number lies between {low:,.0f} and {high:,.0f} with 90{_NBSP}% confidence."


def _expected(budget: Budget, expected: float) -> str:
    if not budget or not expected >= _FEW:
        return ""
    shares = [_SHARES.get(share, f"{100 * share:.0f}{_NBSP}%") for share, _ in budget]
    first = f"Expect {shares[0]} of them in the first {budget[0][1]:,} rows of the list"
    rest = [f"{share} in the first {n:,}" for share, (_, n) in zip(shares[1:], budget[1:], strict=True)]
    return ", ".join([first, *rest]) + "."


def _skew(counts: list[tuple[str, int, float]], expected: float) -> Inline:
    """Name a label that carries two thirds of the expected mistakes: it is usually one cause."""
    if len(counts) <= 1 or not expected >= _MANY:
        return ""
    label, _, most = counts[0]
    total = sum(wrong for _, _, wrong in counts)
    stands_out = total and most >= 2 / 3 * total
    return f"Most of them ({most:,.0f}) carry the label “{label[:60]}”." if stands_out else ""


def _together(f: Findings, *, copies: bool) -> tuple[Inline, ...]:
    """Say which rows left training together, which copies disagree, or that a column may name groups."""
    labels, column = f.labels, f.provenance.settings.get("group")
    hints = (note for note in f.provenance.notes if GROUP_HINT in note)
    if not {"group_rows", "copy_rows"} <= set(labels.columns):
        return tuple(hints)
    grouped, copied = labels.filter(pl.col("group_rows") > 1), labels.filter(pl.col("copy_rows") > 1)
    n, groups = grouped.height, round((1 / grouped["group_rows"]).sum())
    alike = copied.filter((pl.col("copy_conflicts") == 0) & (pl.col("group_rows") >= pl.col("copy_rows")))
    sets = common.few(alike["copy_set"].n_unique(), "set")
    parts: list[Inline] = []
    if column and n:
        mixed = round((1 / grouped.filter(pl.col("group_conflicts") > 0)["group_rows"]).sum())
        differ = f" In {mixed:,} of them labels differ." if mixed else ""
        said = f"{n:,} rows {_LEFT} in {groups:,} groups, those of one “"
        parts.append((said, Cell(str(column), 60), f"”.{differ}"))
    if alike.height and copies:
        parts.append(f"{alike.height:,} rows in {sets} of copies with one label {_LEFT}.")
    return (*parts, _disagreeing(copied.filter(pl.col("copy_conflicts") > 0)), *hints)


def _disagreeing(rows: pl.DataFrame) -> Inline:
    """Say how many copies carry different labels, and which first."""
    if rows.is_empty():
        return ""
    sets = rows["copy_set"].unique(maintain_order=True)
    shown = []
    for number in sets.head(_SETS):
        one = rows.filter(pl.col("copy_set") == number).unique("label", maintain_order=True).head(_LABELS)
        pairs = one.select("row_id", "label").iter_rows()
        shown.append(common.joined((Cell(name, 60), " “", Cell(label, 40), "”") for name, label in pairs))
    more = "; …" if len(sets) > _SETS else ""
    said = f"{rows.height:,} rows in {common.few(len(sets), 'set')} of copies carry different labels: "
    return (said, *common.joined(shown, "; "), f"{more}.")


def _steps(rows: int, budget: Budget) -> tuple[tuple[str, Inline], ...]:
    n = min(_FIRST, rows)
    half = next((f"{count:,} hold {words.share(share, 0)}" for share, count in budget if count), "")
    far = f"The first {half} of the expected wrong labels; o" if half else "O"
    keys = "ne key a row: a accepts the suggestion, x keeps the label. The page says when it is enough."
    return (
        (f"Read the {'ten' if n == _FIRST else n} rows below.", _EACH),
        ("Review the ranked rows as far as your time allows.", f"{far}{keys}"),
        ("Download your decisions and carry them out with audit apply.", _APPLY),
    )


def _first(p: Provenance, rows: Sequence[ReviewRow], blocks: tuple[Row, ...], reason: str) -> Section:
    order = f"n order of {_RANKINGS.get(p.ranking, p.ranking)}"
    columns = 7 if any(row.cells for row in rows) else 6  # cells may be withheld
    head = ("", "row", "label → suggested", "wrong", "loss", "against the label", "begins")
    overview = Table(
        caption="Rows",
        head=head[:columns],
        rows=tuple(_overview(row)[:columns] for row in rows),
        total=p.n_rows,
        short=_SHORT,
        terminal=(0, 1, 2, 3, 4, 5),
        spare=True,
        legend=f"I{order}; losses in nats, the row left out of training. {reason}".strip(),
    )
    title = "The ten rows to look at first" if len(blocks) >= _FIRST else "The rows to look at first"
    shown, lead = Rows(items=blocks[:_FIRST], style="first", overview=overview), f"I{order}. {reason}".strip()
    return Section(title, (shown,), rank=0, key="first", nav="Look here first", lead=lead)


def _overview(row: ReviewRow) -> tuple[Inline, ...]:
    against = [term_name(term) for term in row.evidence if term.contribution < 0]
    return (
        str(row.rank),
        Cell(row.row_id, 120),
        (Cell(row.label, 40, "struck"), " → ", Cell(row.suggested_label, 40, "strong")),
        words.share(row.p_wrong),
        words.fixed(row.loo_loss),
        common.joined(Cell(name, 30, "quiet") for name in list(dict.fromkeys(against))[:_AGAINST]),
        Cell(row.excerpt, 100),
    )


def _trust(f: Findings) -> Section:
    refits = [common.Refit(*row) for row in f.verification.iter_rows()]
    mark = "refit: round where the row was removed, square where it was relabelled"
    named = ("refits", "Predicted changes of loss against true refits (nats)", mark)
    plots = figures.compare(refits, named, words.signed), figures.calibration(f.labels, f.provenance.classes)
    sentence, known = common.refits_of(refits, none=_NO_REFITS)
    return common.trust(f.health, sentence, common.charts(*plots), terminal=known)


def _ranked(
    f: Findings,
    rows: Sequence[ReviewRow],
    blocks: tuple[Row, ...],
    queue: dict[str, Any] | None,
    folder: str,
) -> Section:
    marked = any(term.role == "text" for row in rows for term in row.evidence)
    colours = ". In the text, marked words speak against the label, underlined ones for it" if marked else ""
    lead = (
        "Each line has the label, the suggested label, and the probability that the label is wrong. "
        "Open a row for its text, what speaks for and against its label (in log-odds), and the rows most "
        f"like it to the model (1 is the most alike){colours}."
    )
    total = f.provenance.n_rows
    shown = Rows(items=blocks, style="list", total=total, queue=queue, apply=repair_command(f, folder))
    return Section("Review the ranked rows", (shown,), rank=2, key="rows", lead=lead)


def _queue(f: Findings, rows: Sequence[ReviewRow]) -> dict[str, Any] | None:
    """Return what the page's script decides with: names exactly; None where they are withheld or too long."""
    p, names = f.provenance, f.labels["row_id"].head(len(rows)).to_list()
    classes = sorted({*p.classes, *(name for row in rows for name in (row.label, row.suggested_label))})
    longest = max(map(len, names), default=_NAME + 1)
    fits = longest <= _NAME and max(map(len, classes)) <= _CLASS and sum(map(len, classes)) <= _CLASSES
    if p.settings.get("redact") == "all" or not fits:
        return None
    at = {name: i for i, name in enumerate(classes)}
    wrong = [round(r.p_wrong, 4) if words.known(r.p_wrong) else None for r in rows]
    known = [wrong for _, _, wrong in by_label(f.labels) if words.known(wrong)]
    return {
        "run": p.run_id,
        "classes": classes,
        "names": [line(name, 60) for name in classes],
        "digits": class_keys(classes),
        "rows": [
            [name, at[r.label], at[r.suggested_label], p]
            for name, r, p in zip(names, rows, wrong, strict=True)
        ],
        "expected": round(sum(known), 3) if known else None,
    } | STOP


def _charts(f: Findings, budget: Budget) -> Section:
    p_wrong = f.labels["p_wrong"]
    plots = (
        figures.p_wrong(p_wrong),
        figures.loo_loss(f.labels["loo_loss"]),
        figures.budget(p_wrong, budget),
        figures.selection(f.selection),
        figures.noise(list(f.noise.iter_rows())),
    )
    return Section("Charts", (common.charts(*plots),), rank=2, key="charts")


def _line(row: ReviewRow) -> tuple[Inline, ...]:
    change = (Cell(row.label, 40), " -> ", Cell(row.suggested_label, 40))
    wrong, loss = f"p_wrong {words.share(row.p_wrong)}", f"left-out loss {words.fixed(row.loo_loss)}"
    return str(row.rank), Cell(row.row_id, 200), change, wrong, loss


def _following(f: Findings, folder: str) -> Section:
    command, named = f.provenance.command, shlex.quote(folder)
    if not command.startswith("audit "):
        return common.following(common.page_of(folder))
    return common.following(
        common.page_of(folder),
        ("Review the rows here", f"audit review {named}" if folder else ""),
        ("Carry out the decisions of a review", repair_command(f, folder)),
        ("Retrain without the first rows, and compare", f"audit verify {named} --top 50" if folder else ""),
        ("The ranked rows for your own tools", f"{command} --format jsonl"),
    )


def repair_command(f: Findings, folder: str) -> str:
    """Return the command that carries decisions out; empty where not just one file was audited."""
    p = f.provenance
    files: list[str] = list(p.settings.get("source") or ())
    one_file = len(files) == len(p.origins) == 1 and files[0] != "-"
    if not (folder and one_file and p.command.startswith("audit ") and is_repaired(p.origins[0]["format"])):
        return ""
    file, read = files[0], str(p.origins[0]["path"])
    if "://" not in file and shown(PurePosixPath(file).as_posix()) != read:
        file = read  # a folder was given, or a pattern
    found, data, fixed = map(shlex.quote, (folder, file, fixed_name(file)))
    return f"audit apply {found} decisions.jsonl {data} -o {fixed}"


def fixed_name(path: str) -> str:
    """Return the name of a repaired file, without a folder: that of the data may be closed."""
    name = PurePosixPath(path.partition("?")[0] if "://" in path else path).name
    stem, dot, ending = name.partition(".")
    return f"{stem}.fixed{dot}{ending}"
