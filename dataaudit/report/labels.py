"""Report of an audit of labels: how many are wrong, by what that is known, and which rows to look at."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import is_repaired
from dataaudit.escape import shown
from dataaudit.findings import learned
from dataaudit.findings.schemas import COPIES, DATA_CHECKS, GROUPS, RANDOM, RESTATED, Findings, Provenance
from dataaudit.options import GROUP_HINT
from dataaudit.report import common, figures, words
from dataaudit.report.blocks import (
    MARKDOWN,
    PAGE,
    Block,
    Cell,
    Figure,
    Inline,
    List,
    Only,
    Part,
    Report,
    Row,
    Rows,
    Section,
    Table,
    Words,
)
from dataaudit.report.rows import ReviewRow, failures, queue, review_row, review_rows, sampled_rows, term_name

Budget = list[tuple[float, int]]  # shares of the expected wrong labels, and the rows to check to meet them

_NBSP: Final = "\N{NO-BREAK SPACE}"
_FIRST: Final = 10  # rows to look at first
_SAMPLE: Final = 60  # rows to look at for a count
_BINS: Final = ("least suspect", "in between", "most suspect")  # rows of the sample
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
_EACH: Final = (
    "Each shows its label, struck out, and the label that the other rows suggest. "
    "If most suggestions are right, the list is worth going on with."
)
_APPLY: Final = (
    "It writes repaired data, a journal that undoes it, and the model before and after. "
    "The whole ranking is in labels.parquet."
)
_LEFT: Final = "were left out together"
_RANDOM: Final = "mistakes that fall on the rows of a class at random within a level"
_LEVELS: Final = 3  # of a column that are named
_SETS, _LABELS = 3, 3  # sets of copies that are named, and rows of each, of different labels
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
_OUTSIDE: Final = (
    "Rows are ranked by the probabilities of a model that was not fitted here. So there is no influence and "
    "no leverage of a row, no evidence by column, no neighbours and no refits."
)
_NO_REFITS: Final = "No refits were made in this run, so the predicted changes of loss are not verified."


def report(f: Findings, *, top: int = 500, folder: str = "", whole: Findings | None = None) -> Report:
    """Say how many labels are wrong and by what that is known, which rows to look at, and what to type next.

    Decisions go by the names that rows have in `whole`, by default those shown.
    """
    p = f.provenance
    n, data = words.count(p.n_rows), (Cell(p.dataset, 120),)
    rows, of = review_rows(f, top), words.bare(p.classes, p.target)
    counts = [] if p.is_number else by_label(f.labels)
    said = f.budget.sort("share") if p.count[0] >= _MANY else f.budget.clear()
    budget: Budget = list(said.iter_rows())
    blocks = tuple(review_row(row) for row in rows)
    health = f.health.filter(pl.col("check") != RANDOM) if p.counted else f.health
    causes = _causes(f)
    hidden = _may_hide(f) and not (p.counted or p.overlapping)
    sentences = common.said(
        *((_OUTSIDE,) if p.outside else ()),
        *causes,
        *((_NOT_COUNTED,) if hidden else _rests_on(p)),
        _expected(budget, p),
        _skew(counts, p, of),
        *_who(f),
        *(one for one in _together(f, copies=bool(p.run) or not _leads(f, COPIES)) if one not in causes),
        common.checked(health),
    )
    return Report(
        kind="labels",
        over=("Label audit of ", Cell(p.dataset, 200)),
        name=data,
        facts=common.heading(p, f"{n} rows, {common.size(p)}"),
        headline=_headline(f),
        sentences=sentences,
        about=common.about(p, (*data, f": {n} rows")),
        steps=(*failures(health), *_steps(len(rows), budget, p)),
        sections=(
            common.notes(p, folder, said=causes),
            _taught(p),
            _first(p, rows, blocks, "" if p.overlapping else p.ranking_reason),
            _trust(f, health),
            _sample(f, folder),
            _ranked(f, rows, blocks, queue(whole or f, rows), folder),
            _charts(f, budget),
            Section(
                "By label",
                (figures.by_label(counts, of),) if counts and not (p.overlapping or p.is_number) else (),
                rank=1,
                key="by-label",
            ),
            *_by(f),
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


def _headline(f: Findings) -> str:
    p = f.provenance
    n, (expected, low, _) = p.n_rows, p.count
    share = f"{100 * expected / max(n, 1):.1f}{_NBSP}%"
    if p.counted:
        return f"About {expected:,.0f} of {n:,} labels are wrong ({share})"
    if low < _FEW and expected < _MANY and _may_hide(f):
        return f"Wrong labels may look right in these {n:,} rows"
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
        if p.is_number:
            left_open = (
                f"The columns leave {open_rows} of the variance of the labels open: a rare outcome is no "
                "wrong label, and looks like one."
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
    if p.overlapping or not any(n for _, n in budget):
        return ""
    shares = [_SHARES.get(share, f"{100 * share:.0f}{_NBSP}%") for share, _ in budget]
    of = "the wrong labels not yet found" if p.learned else "them"
    first = f"Expect {shares[0]} of {of} in the first {budget[0][1]:,} rows of the list"
    rest = [f"{share} in the first {n:,}" for share, (_, n) in zip(shares[1:], budget[1:], strict=True)]
    return ", ".join([first, *rest]) + "."


def _skew(counts: list[tuple[str, int, float]], p: Provenance, of: str) -> Inline:
    """Name a label that carries two thirds of the expected mistakes: it is usually one cause."""
    if len(counts) <= 1 or p.overlapping or not p.count[0] >= _MANY:
        return ""
    label, _, most = counts[0]
    total = sum(wrong for _, _, wrong in counts)
    stands_out = total and most >= 2 / 3 * total
    return (
        f"Most of them ({most:,.0f}) carry the label “{words.of_class(label[:60], of)}”."
        if stands_out
        else ""
    )


def _who(f: Findings) -> tuple[Inline, ...]:
    """Name the levels whose labels look wrong more often than by chance, and say what the others gain."""
    said: list[Inline] = []
    for own in f.by.filter("significant").partition_by("column", maintain_order=True):
        first = own.head(_LEVELS)
        rows = zip(first["level"], first["share"], first["n"], first["times_average"], strict=True)
        levels: list[Inline] = []
        for level, share, n, times in rows:
            looks, average = ("", "") if levels else (" labels look wrong", " the average")
            said_of = f": {words.share(share, 0)} of {n:,}{looks}, {times:.1f} times{average}"
            levels.append((Cell(level, 40), said_of))
        more = f"; and {own.height - len(levels):,} more." if own.height > len(levels) else "."
        said.append(("By ", Cell(own["column"][0], 60), ", ", *common.joined(levels, "; "), more))
        said += [_without(f, own)]
    asked = f.by["column"].unique(maintain_order=True)
    if usual := [Cell(name, 60) for name in asked if name not in f.by.filter("significant")["column"]]:
        said.append(("By ", *common.joined(usual), ", no level has more wrong labels than by chance."))
    return tuple(said)


def _without(f: Findings, own: pl.DataFrame) -> Inline:
    """Say what leaving out levels of a column does to the loss of the other rows."""
    at_once = f.without.filter(column=own["column"][0])
    left = own.filter("together") if at_once.height else own.head(1)
    found = at_once if at_once.height else left
    predicted, measured = found["others_predicted"][0], found["others_measured"][0]
    if not (words.known(predicted) and words.known(measured)):
        return ""
    changes = f"{words.moved(measured)} a row by a refit ({words.signed(predicted, 3)} by one Newton step)"
    cells = [Cell(level, 40) for level in left["level"].head(2 * _LEVELS)]
    last = f"{left.height - 2 * _LEVELS:,} more" if left.height > 2 * _LEVELS else cells.pop()
    names = common.joined([common.joined(cells), last], " and ") if cells else (last,)
    return ("Without ", *names, f" the left-out loss of the other rows {changes}.")


def _by(f: Findings) -> tuple[Section, ...]:
    """Return the section on who mislabels, where that was asked."""
    if f.by.is_empty():
        return ()
    rests = "the rows that were looked at" if f.provenance.counted else _RANDOM
    blocks: list[Block] = []
    for number, own in enumerate(f.by.partition_by("column", maintain_order=True), start=1):
        chart = figures.by_level(own, number)
        blocks += [Only(PAGE, (Figure(chart),)), Only(MARKDOWN, (figures.level_table(own),))]
    lead = (
        "Labels that are expected to be wrong, by the columns named under --by. Coloured bars have more of "
        "them than levels made at random of rows with the same labels would have; p-values allow for the "
        f"number of levels. Lines are 90{_NBSP}% intervals; they rest on {rests}, and allow for a rate of "
        "the level’s own."
    )
    return (Section("Who mislabels", tuple(blocks), rank=1, key="by-level", lead=lead),)


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
        differ = f" In {mixed:,} of them labels differ." if mixed and not f.provenance.is_number else ""
        said = f"{n:,} rows {_LEFT} in {groups:,} groups, those of one “"
        parts.append((said, Cell(str(column), 60), f"”.{differ}"))
    if alike.height and copies:
        parts.append(f"{alike.height:,} rows in {sets} of copies with one label {_LEFT}.")
    return (*parts, _disagreeing(copied.filter(pl.col("copy_conflicts") > 0), counted=not copies), *hints)


def _disagreeing(rows: pl.DataFrame, *, counted: bool) -> Inline:
    """Say how many copies carry different labels, unless that was said, and which first."""
    if rows.is_empty():
        return ""
    sets = rows["copy_set"].unique(maintain_order=True)
    shown = []
    for number in sets.head(_SETS):
        one = rows.filter(pl.col("copy_set") == number).unique("label", maintain_order=True).head(_LABELS)
        pairs = one.select("row_id", "label").iter_rows()
        shown.append(common.joined((Cell(name, 60), " “", Cell(label, 40), "”") for name, label in pairs))
    end = "; …" if len(sets) > _SETS else "."
    many = f"{rows.height:,} rows in {common.few(len(sets), 'set')} of copies carry different labels: "
    said = "The first copies that carry different labels: " if counted else many
    return (said, *common.joined(shown, "; "), end)


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
    left_out = "by probabilities out of sample" if p.outside else "the row left out of training"
    head = ("", "row", "label → suggested", "wrong", "loss", "against the label", "begins")
    overview = Table(
        caption="Rows",
        head=head[:columns],
        rows=tuple(_overview(row)[:columns] for row in rows),
        total=p.n_rows,
        short=_SHORT,
        terminal=(0, 1, 2, 3, 4, 5),
        spare=True,
        legend=f"I{order}; losses in nats, {left_out}. {reason}".strip(),
    )
    title = "The ten rows to look at first" if len(blocks) >= _FIRST else "The rows to look at first"
    shown, lead = Rows(items=blocks[:_FIRST], style="first", overview=overview), f"I{order}. {reason}".strip()
    return Section(title, (shown,), rank=0, key="first", nav="Look here first", lead=lead)


def _overview(row: ReviewRow) -> tuple[Inline, ...]:
    against = [term_name(term) for term in row.evidence if term.contribution < 0]
    return (
        str(row.rank),
        Cell(row.row_id, 120),
        (*_column(row), Cell(row.label, 40, "struck"), " → ", Cell(row.suggested_label, 40, "strong")),
        words.share(row.p_wrong),
        words.fixed(row.loo_loss),
        common.joined(Cell(name, 30, "quiet") for name in list(dict.fromkeys(against))[:_AGAINST]),
        Cell(row.excerpt, 100),
    )


def _column(row: ReviewRow) -> tuple[Part, ...]:
    return (Cell(row.of, 30, "quiet"), Words(": ", "quiet")) if row.of else ()


def _trust(f: Findings, health: pl.DataFrame) -> Section:
    refits = [common.Refit(*row) for row in f.verification.iter_rows()]
    mark = "refit: round where the row was removed, square where it was relabelled"
    named = ("refits", "Predicted changes of loss against true refits (nats)", mark)
    of = words.bare(f.provenance.classes, f.provenance.target)
    plots = (
        figures.compare(refits, named, words.signed),
        None if f.provenance.is_number else figures.calibration(f.labels, f.provenance.classes, of=of),
    )
    sentence, known = common.refits_of(refits, none="" if f.provenance.outside else _NO_REFITS)
    bins = _calibration(f.provenance)
    return common.trust(health, sentence, common.charts(*plots), *bins, terminal=known)


def _taught(p: Provenance) -> Section:
    """Return what the decisions say; nothing where there are none."""
    said = (List(tuple(learned.sentences(p))),) if p.learned else ()
    return Section("What the decisions say", said, rank=0, key="learned", nav="Decisions")


def _calibration(p: Provenance) -> tuple[Table, ...]:
    """Return what was expected of the rows of the sample against what was found; nothing without it."""
    bins = p.learned.get("calibration") or ()
    rows = tuple(
        (name, words.count(n), words.fixed(due, 1), words.count(found))
        for name, (n, due, found) in zip(_BINS, bins, strict=False)
    )
    if not rows:
        return ()
    lead = "Each row of the sample by what the other rows of the sample teach."
    head = ("Rows of the sample", "rows", "to be wrong", "were wrong")
    return (Table(caption="Learned chances against what was found", head=head, rows=rows, lead=lead),)


def _sample(f: Findings, folder: str) -> Section:
    """Return the rows to look at for an honest count; nothing where all of them is withheld."""
    # Those that were looked at, and 40 more, as far as the tables have their cells.
    rows = min(max(_SAMPLE, f.provenance.learned.get("sampled", 0) + 40), len(f.sample))
    none = f.provenance.settings.get("redact") == "all" or not rows
    typed = folder and f.provenance.command.startswith("audit ")
    learn = f"audit learn {shlex.quote(folder)} decisions.jsonl" if typed else ""
    shown = Rows(items=() if none else sampled_rows(f, rows), style="sample", apply=learn)
    lead = (
        "These rows were drawn at random, uncertain ones more often, so what is found in them tells how many "
        "labels are wrong whatever the mistakes are like. Decide each by what it says, in this order; what "
        "the audit suggests is shown only when you ask for it. You may stop anywhere and go on later."
    )
    title = f"Count the wrong labels: look at {rows} rows drawn for it"
    return Section(
        title, () if none else (shown,), rank=2, key="sampled", nav="Count wrong labels", lead=lead
    )


def _ranked(
    f: Findings,
    rows: Sequence[ReviewRow],
    blocks: tuple[Row, ...],
    queue: dict[str, Any] | None,
    folder: str,
) -> Section:
    marked = any(term.role == "text" for row in rows for term in row.evidence)
    colours = ". In the text, marked words speak against the label, underlined ones for it" if marked else ""
    units = {"regression": "units of the noise", "count": "logarithms of the count"}
    unit = units.get(f.provenance.task, "log-odds")
    lead = "Each line has the label, the suggested label, and the probability that the label is wrong. "
    lead += (
        "Open a row for its cells."
        if f.provenance.outside
        else (
            f"Open a row for its text, what speaks for and against its label (in {unit}), and the rows most "
            f"like it to the model (1 is the most alike){colours}."
        )
    )
    total = f.provenance.n_rows
    shown = Rows(items=blocks, style="list", total=total, queue=queue, apply=repair_command(f, folder))
    return Section("Review the ranked rows", (shown,), rank=2, key="rows", lead=lead)


def _charts(f: Findings, budget: Budget) -> Section:
    p_wrong = f.labels["p_wrong"]
    of = words.bare(f.provenance.classes, f.provenance.target)
    known = not f.provenance.overlapping
    plots = (
        figures.p_wrong(p_wrong),
        figures.loo_loss(f.labels["loo_loss"]),
        figures.budget(p_wrong, budget) if known else None,
        figures.selection(f.selection),
        figures.noise(list(f.noise.iter_rows()), of) if known and not f.noise.is_empty() else None,
    )
    return Section("Charts", (common.charts(*plots),), rank=2, key="charts")


def _line(row: ReviewRow) -> tuple[Inline, ...]:
    change = (*_column(row), Cell(row.label, 40), " -> ", Cell(row.suggested_label, 40))
    wrong, loss = f"p_wrong {words.share(row.p_wrong)}", f"left-out loss {words.fixed(row.loo_loss)}"
    return str(row.rank), Cell(row.row_id, 200), change, wrong, loss


def _following(f: Findings, folder: str) -> Section:
    command, named = f.provenance.command, shlex.quote(folder)
    verify = f"audit verify {named} --top 50"
    if not command.startswith("audit "):
        return common.following(common.page_of(folder))
    return common.following(
        common.page_of(folder),
        (_NUMBER, f"audit review {named} --sample {_LOOKS}" if folder and not f.provenance.counted else ""),
        ("Review the rows here", f"audit review {named}" if folder else ""),
        ("Carry out the decisions of a review", repair_command(f, folder)),
        (
            "Retrain without the first rows, and compare",
            verify if folder and not f.provenance.outside else "",
        ),
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
