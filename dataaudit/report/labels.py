"""Report of an audit of labels: how many are wrong, by what that is known, and which rows to look at."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import is_repaired
from dataaudit.escape import line, shown
from dataaudit.findings.schemas import RANDOM, Findings, Provenance
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
_LOOKS: Final = 60  # rows to look at for a number, where nobody has looked yet
_NOT_COUNTED: Final = (
    "Mistakes that sit on hard rows, in batches or in copies are not counted, and outcomes that the columns "
    "do not determine are no mistakes."
)
_GATHERED: Final = (
    "No interval is claimed, since the suspected rows do not lie as random mistakes would: the true number "
    "may be much larger."
)
_FAINT: Final = "No interval is claimed: rows that contradict the others may as well be right, but hard."
_NUMBER: Final = "For a number that holds whatever the mistakes are"
_LEFT: Final = "were left out together"
_SETS, _LABELS = 3, 3  # sets of copies that are named, and rows of each, of different labels
_NO_REFITS: Final = "No refits were made in this run, so the predicted changes of loss are not verified."


def report(f: Findings, *, top: int = 500, folder: str = "", whole: Findings | None = None) -> Report:
    """Say how many labels are wrong and by what that is known, which rows to look at, and what to type next.

    Decisions go by the names that rows have in `whole`, by default those shown.
    """
    p = f.provenance
    n, data = words.count(p.n_rows), (Cell(p.dataset, 120),)
    rows, counts = review_rows(f, top), by_label(f.labels)
    budget: Budget = list(f.budget.sort("share").iter_rows())
    blocks = tuple(review_row(row) for row in rows)
    health = f.health.filter(pl.col("check") != RANDOM) if p.counted else f.health
    sentences = common.said(
        *_rests_on(p),
        _expected(budget, p),
        _skew(counts, p),
        p.ranking_reason if _fell_back(f) and not p.overlapping else "",
        *_together(f),
        common.checked(health),
    )
    return Report(
        kind="labels",
        over=("Label audit of ", Cell(p.dataset, 200)),
        name=data,
        facts=common.heading(p, f"{n} rows, {words.count(p.n_features)} features"),
        headline=_headline(f),
        sentences=sentences,
        about=common.about(p, (*data, f": {n} rows")),
        steps=(*failures(health), *_steps(len(rows), budget, p)),
        sections=(
            common.notes(p, folder),
            _first(
                p, rows, blocks, "" if p.overlapping or p.ranking_reason in sentences else p.ranking_reason
            ),
            _trust(f, health),
            _ranked(f, rows, blocks, _queue(whole or f, rows), folder),
            _charts(f, budget),
            Section(
                "By label",
                (figures.by_label(counts),) if counts and not p.overlapping else (),
                rank=1,
                key="by-label",
            ),
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


def _fell_back(f: Findings) -> bool:
    """Whether another order than the default was used without being asked for."""
    p = f.provenance
    return p.ranking != "p-wrong" and p.settings.get("rank") != p.ranking


def _headline(f: Findings) -> str:
    p = f.provenance
    n, (expected, low, _) = p.n_rows, p.count
    share = f"{100 * expected / max(n, 1):.1f}{_NBSP}%"
    if p.counted:
        return f"About {expected:,.0f} of {n:,} labels are wrong ({share})"
    if p.overlapping:
        return f"These columns cannot say how many of {n:,} labels are wrong"
    if not math.isfinite(expected):
        return f"How many of {n:,} labels are wrong cannot be estimated"
    if expected < _FEW:
        return f"Few if any of {n:,} labels contradict the other rows"
    if low < _FEW and expected < _MANY:
        return f"Few if any of {n:,} labels contradict the other rows: about {expected:,.0f}"
    return f"About {expected:,.0f} of {n:,} labels contradict the other rows ({share})"


def _rests_on(p: Provenance) -> tuple[str, ...]:
    """Say what the number rests on: looks, or what is taken for granted without them."""
    expected, low, high = p.count
    if p.overlapping:
        open_rows = f"{100 * p.claim.get('undetermined', math.nan):.0f}{_NBSP}%"
        left_open = (
            f"The columns leave open which label {open_rows} of the rows should have: an outcome that they "
            "do not determine is no wrong label, and looks like one."
        )
        return left_open, "The list has the rows first that contradict the others most."
    if not all(map(math.isfinite, (expected, low, high))):
        return ()
    ends = f"between {low:,.0f} and {high:,.0f} with 90{_NBSP}% confidence"
    if p.counted:
        looks = f"{p.learned['sampled']:,} rows drawn for it and looked at"
        return (f"The true number lies {ends}, by {looks}, whatever the mistakes are.",)
    if not p.has_interval:
        faint = not p.claim.get("identified", True)
        return (_FAINT if faint else _GATHERED, _NOT_COUNTED) if expected >= _FEW else (_NOT_COUNTED,)
    return (
        f"If mistakes fall on the rows of a class at random, the number of wrong labels lies {ends}.",
        _NOT_COUNTED,
    )


def _expected(budget: Budget, p: Provenance) -> str:
    if p.overlapping or not budget or not p.count[0] >= _FEW or not any(n for _, n in budget):
        return ""
    shares = [_SHARES.get(share, f"{100 * share:.0f}{_NBSP}%") for share, _ in budget]
    of = "the wrong labels not yet found" if p.learned else "them"
    first = f"Expect {shares[0]} of {of} in the first {budget[0][1]:,} rows of the list"
    rest = [f"{share} in the first {n:,}" for share, (_, n) in zip(shares[1:], budget[1:], strict=True)]
    return ", ".join([first, *rest]) + "."


def _skew(counts: list[tuple[str, int, float]], p: Provenance) -> Inline:
    """Name a label that carries two thirds of the expected mistakes: it is usually one cause."""
    if len(counts) <= 1 or p.overlapping or not p.count[0] >= _MANY:
        return ""
    label, _, most = counts[0]
    total = sum(wrong for _, _, wrong in counts)
    stands_out = total and most >= 2 / 3 * total
    return f"Most of them ({most:,.0f}) carry the label “{label[:60]}”." if stands_out else ""


def _together(f: Findings) -> tuple[Inline, ...]:
    """Say which rows left training together, which copies disagree, or that a column may name groups."""
    labels, column = f.labels, f.provenance.settings.get("group")
    hints = (note for note in f.provenance.notes if GROUP_HINT in note)
    if not {"group_rows", "copy_rows"} <= set(labels.columns):
        return tuple(hints)
    grouped, copies = labels.filter(pl.col("group_rows") > 1), labels.filter(pl.col("copy_rows") > 1)
    n, groups = grouped.height, round((1 / grouped["group_rows"]).sum())
    alike = copies.filter((pl.col("copy_conflicts") == 0) & (pl.col("group_rows") >= pl.col("copy_rows")))
    sets = common.few(alike["copy_set"].n_unique(), "set")
    parts: list[Inline] = []
    if column and n:
        mixed = round((1 / grouped.filter(pl.col("group_conflicts") > 0)["group_rows"]).sum())
        differ = f" In {mixed:,} of them labels differ." if mixed else ""
        said = f"{n:,} rows {_LEFT} in {groups:,} groups, those of one “"
        parts.append((said, Cell(str(column), 60), f"”.{differ}"))
    if alike.height:
        parts.append(f"{alike.height:,} rows in {sets} of copies with one label {_LEFT}.")
    return (*parts, _disagreeing(copies.filter(pl.col("copy_conflicts") > 0)), *hints)


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


def _steps(rows: int, budget: Budget, p: Provenance) -> tuple[tuple[str, Inline], ...]:
    n = min(_FIRST, rows)
    half = next((f"{count:,} hold {words.share(share, 0)}" for share, count in budget if count), "")
    far = f"The first {half} of the expected wrong labels; o" if half and not p.overlapping else "O"
    looks = min(_LOOKS, p.n_rows)
    why = f"They give a number that holds whatever the mistakes are: audit review with --sample {looks}."
    keys = "ne key a row: a accepts the suggestion, x keeps the label. The page says when it is enough."
    return (
        *(() if p.counted else ((f"Look at {looks} rows that are drawn for the count.", why),)),
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


def _trust(f: Findings, health: pl.DataFrame) -> Section:
    refits = [common.Refit(*row) for row in f.verification.iter_rows()]
    mark = "refit: round where the row was removed, square where it was relabelled"
    named = ("refits", "Predicted changes of loss against true refits (nats)", mark)
    plots = figures.compare(refits, named, words.signed), figures.calibration(f.labels, f.provenance.classes)
    sentence, known = common.refits_of(refits, none=_NO_REFITS)
    return common.trust(health, sentence, common.charts(*plots), terminal=known)


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
        "expected": round(sum(known), 3) if known and not p.overlapping else None,
    } | STOP


def _charts(f: Findings, budget: Budget) -> Section:
    p_wrong = f.labels["p_wrong"]
    known = not f.provenance.overlapping
    plots = (
        figures.p_wrong(p_wrong),
        figures.loo_loss(f.labels["loo_loss"]),
        figures.budget(p_wrong, budget) if known else None,
        figures.selection(f.selection),
        figures.noise(list(f.noise.iter_rows())) if known else None,
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
        (_NUMBER, f"audit review {named} --sample {_LOOKS}" if folder and not f.provenance.counted else ""),
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
