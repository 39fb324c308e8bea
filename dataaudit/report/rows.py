"""What is shown of a row: its cells, the evidence in them, and how it begins; the ranked rows of a review."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.cells import Marks, number_text, passage, pixels_of, pixels_text, readable
from dataaudit.escape import line
from dataaudit.findings.learned import counted
from dataaudit.findings.sample import chances, scored
from dataaudit.findings.schemas import LEARNED, Findings
from dataaudit.report import words
from dataaudit.report.blocks import Cell, Line, Near, Record, Row, Table, Tone, chosen

# The review may stop from FIRST decisions on, when at most FEW of the last LAST decided rows were wrong.
FIRST: Final = 20
LAST: Final = 20
FEW: Final = 2
STOP: Final = {"first": FIRST, "last": LAST, "few": FEW}  # for the page

_ROW: Final = 160  # characters of a row's name
BEGIN: Final = 140  # characters of the beginning of a row
_EXCERPT: Final = 240  # characters that recognise a text
_FIRST: Final = 8  # columns of an excerpt
_NAME: Final = 60  # characters of a column or a class
_LINE: Final = 220  # characters of the beginning of a ranked row
_TEXT: Final = 600  # characters of a cell
_LIKELY: Final = 0.5
_DIGITS: Final = "1234567890"
_LEAST: Final = 0.01  # nats, below which digits say nothing
_PASSAGE: Final = 300  # characters of a cell among those of other rows
_WEIGHS: Final = 0.2  # of the strongest piece of evidence, from which on a column counts as telling
_NO_TONES: Final[Mapping[str, Tone]] = {}
_LARGE, _SMALL = 112, 56  # pixels of a picture, on the page
# A name that a page can hold exactly; longer ones are reviewed on a terminal.
_EXACT, _CLASS, _CLASSES = 300, 200, 20_000


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a column in one row, as text; one that holds a picture says its size there."""

    column: str
    text: str
    picture: str = ""


Rows = Mapping[tuple[str, str], tuple[Value, ...]]  # cells by part, train or test, and name


@dataclass(frozen=True, slots=True)
class Term:
    """A column, level or word and its log-odds towards the row's label; negative speaks against the label."""

    role: str  # what the column is used as: "text", "numeric", …; empty where that is not known
    column: str
    level: str | None
    cell: str | None
    contribution: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row near to another one; similarity 1 is the same direction in the model's geometry."""

    row_id: str
    label: str
    similarity: float
    same_label: bool
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """One row to look at: columns of the table `labels`, and what speaks for and against its label."""

    rank: int
    row_id: str
    label: str
    suggested_label: str
    p_wrong: float
    loo_p_label: float
    train_loss: float
    loo_loss: float
    delta_loss_if_removed: float
    delta_loss_if_relabelled: float
    rank_self_influence: int | None  # None where there is no influence, as of probabilities that were given
    group_rows: int = 1  # rows that leave training together, this one too
    group_conflicts: int = 0  # of these, with another label
    copy_rows: int = 1
    copy_conflicts: int = 0
    cells: tuple[Value, ...]
    evidence: tuple[Term, ...]
    neighbours: tuple[Neighbour, ...]
    of: str = ""  # the column of the labels, where these are bare numbers
    columns: tuple[str, ...] = ()  # those of an excerpt, the same for all rows
    reviewed: str | None = None  # what was decided before, once that was learned from
    reviewed_label: str | None = None  # the class that it was given
    residual: float | None = None  # of a number: how many times the noise it is off
    noise: float | None = None  # in the unit of the numbers

    @property
    def picture(self) -> str:
        """The first picture among its cells; empty without one."""
        return first_picture(self.cells)

    @property
    def excerpt(self) -> str:
        """What it says, in one line: of a text the passage with the words of evidence."""
        return excerpt(self.cells, marks=marks_of(self.evidence), columns=self.columns)


def review_rows(f: Findings, top: int, *, start: int = 0) -> tuple[ReviewRow, ...]:
    """Return so many rows of the ranking, each with its cells, evidence and neighbours."""
    return _rows_of(f, f.labels.slice(start, top))


def sampled_rows(f: Findings, rows: int) -> tuple[Row, ...]:
    """Return the first rows of the sample in its order, as they are looked at: led by no evidence."""
    bare = dataclasses.replace(f, evidence=f.evidence.head(0), neighbours=f.neighbours.head(0))
    drawn = f.labels.join(f.sample.head(rows).select("row_id", "order"), on="row_id").sort("order")
    made = (review_row(row) for row in _rows_of(bare, drawn))
    return tuple(dataclasses.replace(row, order=at) for at, row in enumerate(made, start=1))


def _rows_of(f: Findings, head: pl.DataFrame) -> tuple[ReviewRow, ...]:
    """Return rows of the table `labels`, each with its cells, evidence and neighbours."""
    ids = set(head["row_id"])
    terms = _grouped(f.evidence.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position"))
    neighbours = f.neighbours.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position")
    near = _grouped(neighbours)
    cells = _grouped(f.cells.filter(pl.col("row_id").is_in(ids | set(neighbours["neighbour_row_id"]))))
    roles = {str(role.get("column")): str(role.get("role", "")) for role in f.provenance.roles}
    columns, of = _most_telling(f.evidence), words.bare(f.provenance.classes, f.provenance.target)
    names = [field.name for field in dataclasses.fields(ReviewRow) if field.name in head.columns]
    rows = []
    for facts in head.select(names).iter_rows(named=True):
        key = facts["row_id"]
        evidence = tuple(
            Term(roles.get(column, ""), column, level, *rest)
            for _, column, level, *rest in terms.get(key, ())
            if level is not None or len(cells.get(key, ())) != 1  # that the one column tells is no news
        )
        marks = marks_of(evidence)
        mine, *others = (
            tuple(value_of(*cell) for cell in cells.get(name, ()))
            for name in (key, *(entry[1] for entry in near.get(key, ())))
        )
        alike = tuple(
            Neighbour(other, label, similarity, same,
                      excerpt(theirs, marks=marks, columns=columns), first_picture(theirs))
            for (_, other, label, similarity, same), theirs in zip(near.get(key, ()), others, strict=True)
        )  # fmt: skip
        rows.append(
            ReviewRow(**facts, cells=mine, evidence=evidence, neighbours=alike, of=of, columns=columns)
        )
    return tuple(rows)


def _most_telling(evidence: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns that say most over all rows."""
    size = pl.col("contribution").abs().sum()
    ranked = evidence.group_by("column").agg(size).sort("contribution", "column", descending=[True, False])
    return tuple(ranked["column"].head(_FIRST))


def _grouped(frame: pl.DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """Return the other columns' values by `row_id`, in the frame's order."""
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for key, *values in frame.iter_rows():
        groups.setdefault(key, []).append(tuple(values))
    return groups


def review_row(row: ReviewRow) -> Row:
    """Return a ranked row in words."""
    marks, tones = marks_of(row.evidence), telling(row.evidence)
    terms = [(t.contribution, (term_name(t)[:_NAME], words.signed(t.contribution))) for t in row.evidence]
    return Row(
        rank=row.rank,
        row_id=row.row_id[:_ROW],
        label=row.label[:_NAME],
        suggested=row.suggested_label[:_NAME],
        wrong=words.share(row.p_wrong),
        likely=row.p_wrong is not None and row.p_wrong >= _LIKELY,
        sentences=_sentences(row),
        begins=Cell(row.excerpt, _LINE, marks=(*marks, *_named_cells(row, tones)), picture=row.picture),
        cells=tuple((v.column[:80], cell(v, _TEXT, marks, tones)) for v in row.cells),
        of=row.of[:_NAME],
        named=words.of_class(row.label[:_NAME], row.of[:_NAME]),
        telling=tuple(name[:80] for name in tones),
        against=tuple(said for value, said in terms if value < 0),
        support=tuple(said for value, said in terms if value > 0),
        other=tuple(_near(n, row.of) for n in row.neighbours if not n.same_label),
        same=tuple(_near(n, row.of) for n in row.neighbours if n.same_label),
        reviewed=reviewed(row),
        sort=(
            f"{row.loo_loss:.4g}" if words.known(row.loo_loss) else "0",
            row.rank_self_influence or row.rank,
        ),
    )


def reviewed(row: ReviewRow) -> str:
    """Say what was decided on a row before; empty where nothing was learned from it."""
    acts = {"keep": "kept", "drop": "drop", "relabel": f"→ {(row.reviewed_label or '')[:_NAME]}"}
    return acts.get(row.reviewed or "", row.reviewed or "")


def _near(n: Neighbour, of: str) -> Near:
    begins = Cell(n.excerpt, BEGIN, picture=n.picture)
    return Near(n.row_id[:_ROW], words.of_class(n.label[:_NAME], of), words.fixed(n.similarity), begins)


def _sentences(row: ReviewRow) -> tuple[str, ...]:
    label, suggested = (words.of_class(name[:_NAME], row.of) for name in (row.label, row.suggested_label))
    if row.rank_self_influence is None:
        chance = f"Out of sample the row gets “{label}” with probability {words.share(row.loo_p_label)}"
        return (f"{chance}: a loss of {_nats(row.loo_loss)} nats.",)
    removed, relabelled = _moves(row.delta_loss_if_removed), _moves(row.delta_loss_if_relabelled)
    others = row.group_rows - 1
    mates = f" with {'the other row' if others == 1 else f'the {others:,} other rows'} of its group" * bool(
        others
    )
    return (
        f"{left_out(row, label, mates=mates)} ({_nats(row.train_loss)} when trained on).",
        f"Removing it{mates} {removed}; relabelling it “{suggested}” {relabelled}.",
        *_conflicts(row),
        f"Number {words.count(row.rank_self_influence)} by self-influence.",
    )


def left_out(row: ReviewRow, label: str, *, mates: str = "") -> str:
    """Say what the other rows make of a row."""
    loss = f"a loss of {_nats(row.loo_loss)} nats"
    if row.residual is None or row.noise is None:
        chance = words.share(row.loo_p_label)
        return f"Left out of training{mates}, the row gets “{label}” with probability {chance}: {loss}"
    suggested, away = row.suggested_label[:_NAME], f"{abs(row.residual):.1f} times as far"
    return (
        f"Left out of training{mates}, the row is predicted as {suggested} give or take {row.noise:.3g}; "
        f"“{label}” is {away} away: {loss}"
    )


def _conflicts(row: ReviewRow) -> tuple[str, ...]:
    """Say how many copies of a row, or rows of its group, carry another label."""
    found = (row.copy_conflicts, row.copy_rows - 1, "of its {} copies", "its copy")
    if not row.copy_conflicts:
        found = (
            row.group_conflicts,
            row.group_rows - 1,
            "of the {} other rows of its group",
            "the other row",
        )
    wrong, n, several, one = found
    if not wrong:
        return ()
    if n == 1:
        return (f"{one.capitalize()} carries another label.",)
    return (f"{wrong:,} {several.format(f'{n:,}')} carr{'ies' if wrong == 1 else 'y'} another label.",)


def _moves(change: float) -> str:
    if not words.known(change):
        return "changes its loss by an unknown amount"
    return f"{'raises' if change >= 0 else 'lowers'} its loss by {_nats(abs(change))}"


def _nats(loss: float) -> str:
    return f"under {_LEAST}" if words.known(loss) and 0 < loss < _LEAST else words.fixed(loss)


def failures(health: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return the step that comes before all others: to see what is wrong with the audit."""
    failed = health.filter(~pl.col("ok"))["message"].to_list()[:1]
    return tuple(("See what is wrong with the audit itself.", message) for message in failed)


def class_keys(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the key of each class, empty where no key is left; a class that is a digit has its own."""
    own = {name for name in classes if len(name) == 1 and name in _DIGITS}
    left = iter([digit for digit in _DIGITS if digit not in own])
    return tuple(name if name in own else next(left, "") for name in classes)


def first_picture(values: Iterable[Value]) -> str:
    """Return the first picture among values; empty without one."""
    return next((value.picture for value in values if value.picture), "")


def value_of(column: str, text: str | None) -> Value:
    """Return a value of a table of cells."""
    pixels = pixels_of(text) if text else None
    text = text or ""
    return Value(column, text) if pixels is None else Value(column, pixels_text(pixels), text)


def values_of(cells: pl.DataFrame) -> dict[tuple[str, str], tuple[Value, ...]]:
    """Return the cells of rows of two tables, by part (train or test) and name."""
    found: dict[tuple[str, str], list[Value]] = {}
    for row_id, column, text, part in cells.iter_rows():
        found.setdefault((part, row_id), []).append(value_of(column, text))
    return {key: tuple(values) for key, values in found.items()}


def shortened(text: str, length: int) -> str:
    """Cut a text, with three dots where something is left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def excerpt(
    values: Sequence[Value], length: int = _EXCERPT, *, marks: Marks = (), columns: Collection[str] = ()
) -> str:
    """Return what a row says as one line: a passage of its text, or ``column value`` of some columns."""

    def one_line(text: str, room: int) -> str:
        return passage(" ".join(readable(text).split()), marks, room)

    if len(values) == 1:
        return one_line(values[0].text, length)
    places = chosen([value.column for value in values], columns, _FIRST)
    parts = (f"{values[at].column} {one_line(values[at].text, length // 2)}" for at in places)
    return shortened(" · ".join(parts), length)


def begins(values: Sequence[Value], length: int = BEGIN) -> Cell:
    """Return how a row begins, or its first picture with that as name."""
    return Cell(excerpt(values), length, picture=first_picture(values), size=_SMALL)


def record(values: Sequence[Value], terms: Sequence[Term], *, of: str, length: int, columns: int) -> Record:
    """Return the cells of a row in the table's order, those that are evidence and words in texts marked."""
    marks, tones = marks_of(terms), telling(terms)
    places = chosen([value.column for value in values], tones, columns)
    shown = ((v.column[:_NAME], cell(v, length, marks, tones)) for v in map(values.__getitem__, places))
    return Record(tuple(shown), of, total=len(values))


def side_by_side(
    rows: Sequence[tuple[str, str | None, Sequence[Value], Sequence[Term]]],
    *,
    target: str,
    caption: str,
    most: int,
    tells: Collection[str],
) -> Table:
    """Return rows one below another, each a name, a label, cells and evidence: the columns that tell most."""
    columns = list(dict.fromkeys(value.column for _, _, values, _ in rows for value in values))
    shown = [columns[at] for at in chosen(columns, tells, most)]
    lines: list[Line] = []
    for name, label, values, terms in rows:
        known, marks, tones = {v.column: v for v in values if v.text}, marks_of(terms), telling(terms)
        cells = (cell(known[c], _PASSAGE, marks, tones) if c in known else words.MISSING for c in shown)
        lines.append((Cell(name, _ROW), Cell(label, _NAME) if label else words.MISSING, *cells))
    left = len(columns) - len(shown)
    return Table(
        caption=caption,
        head=("row", Cell(target, _NAME), *(Cell(name, _NAME) for name in shown)),
        rows=tuple(lines),
        lead=f"{left} more columns of these rows are in cells.parquet next to this page." if left > 0 else "",
    )


def _named_cells(row: ReviewRow, tones: Mapping[str, Tone]) -> Marks:
    """Return the telling cells as an excerpt has them, which are marked there."""
    signs = {"marked": -1.0, "underlined": 1.0}
    found = ((f"{v.column} {v.text}", signs.get(tones.get(v.column, ""))) for v in row.cells)
    return tuple((name, sign) for name, sign in found if sign)


def marks_of(terms: Iterable[Term]) -> Marks:
    """Return the words of texts among pieces of evidence."""
    return tuple((t.level, t.contribution) for t in terms if t.role == "text" and t.level)


def telling(terms: Sequence[Term]) -> dict[str, Tone]:
    """Return the columns that weigh next to the strongest piece of evidence, and how their cells are marked.

    In a text its words are marked.
    """
    least = _WEIGHS * max((abs(term.contribution) for term in terms), default=0.0)
    tones: dict[str, Tone] = {}
    for term in [term for term in terms if abs(term.contribution) >= least][:_FIRST]:
        whole: Tone = "marked" if term.contribution < 0 else "underlined"
        tones.setdefault(term.column, "" if term.role == "text" else whole)
    return tones


def cell(value: Value, length: int, marks: Marks = (), tones: Mapping[str, Tone] = _NO_TONES) -> Cell:
    """Return a value as a cell of a report: of a long text the passage with the words of evidence."""
    text, tone = passage(value.text, marks, length), tones.get(value.column, "")
    return Cell(text, length, tone, marks=marks, picture=value.picture, size=_LARGE)


def term_name(term: Term) -> str:
    """Name a piece of evidence: a word, a coordinate of a vector, ``column = value`` of a table."""
    if term.role == "text" and term.level is not None:
        return term.level
    number = _number(term)
    if term.level == "(missing)" or term.cell == "" or (number is not None and math.isnan(number)):
        return f"{term.column} is missing"
    if term.role == "vector":
        return term.column if term.level is None else f"{term.column}[{term.level}]"
    value = term.level if term.cell is None else term.cell
    if number is not None and math.isfinite(number):
        value = number_text(number)
    return term.column if value is None else f"{term.column} = {value}"


def _number(term: Term) -> float | None:
    """Return the number of a numeric cell, if it is one with a fraction or none at all."""
    text = term.cell or ""
    if term.role != "numeric" or text.removeprefix("-").isdigit():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def queue(f: Findings, rows: Sequence[ReviewRow]) -> dict[str, Any] | None:
    """Return what the page's script decides and counts with; None where names are withheld or too long.

    It estimates the number of wrong labels as `noise.learned` does, by a difference estimator, but with a
    linear regression: that takes of the rows that are not on the page only the sums of what it regresses on.
    """
    p, names = f.provenance, f.labels["row_id"].head(len(rows)).to_list()
    classes = sorted({*p.classes, *(name for row in rows for name in (row.label, row.suggested_label))})
    if p.is_number:
        shown = f.labels.filter(pl.col("row_id").is_in({*names, *f.sample["row_id"]}))
        classes = sorted({*shown["label"], *shown["suggested_label"]})
    longest = max(map(len, (*names, *f.sample["row_id"])), default=_EXACT + 1)
    fits = longest <= _EXACT and max(map(len, classes)) <= _CLASS and sum(map(len, classes)) <= _CLASSES
    if p.settings.get("redact") == "all" or not fits:
        return None
    at = {name: i for i, name in enumerate(classes)}
    entries, sums = _entries(f, names, at)
    known = f.labels["p_wrong"].fill_nan(None).drop_nulls()
    return {
        "run": p.run_id,
        "of": words.bare(p.classes, line(p.target, 60)),
        "classes": classes,
        "names": [line(name, 60) for name in classes],
        "number": p.task if p.is_number else "",  # then another one may be typed
        "digits": [""] * len(classes) if p.is_number else class_keys(classes),
        "rows": [entries[name] for name in names],
        "expected": round(float(known.sum()), 3) if len(known) and not p.overlapping else None,
        "sample": {"rows": [entries[name] for name in f.sample["row_id"] if name in entries], "sums": sums},
        "made": _made(f, at),
        "counted": counted(p) if p.counted else "",
        "learned": [p.learned.get("sampled", 0), p.learned.get("expected")],
    } | STOP


def _entries(
    f: Findings, names: Sequence[str], at: Mapping[str, int]
) -> tuple[dict[str, list[Any]], list[float]]:
    """Return what the script knows of each row, by name, and the sums over all rows of the last two numbers.

    Name, numbers of the classes, P(wrong); for the count the chance to be drawn, and two of the first scores.
    """
    first, known = scored(f.labels)
    numbers = [chances(first), known.p_wrong, 1.0 - known.p_label]
    table = first.select("row_id").with_columns(pl.Series(str(i), column) for i, column in enumerate(numbers))
    shown = {*names, *f.sample["row_id"]}
    joined = f.labels.filter(pl.col("row_id").is_in(shown)).join(table, on="row_id")
    entries = {
        name: [name, at.get(label), at.get(other), round(p, 4) if words.known(p) else None]
        + [float(f"{number:.6g}") for number in figures]
        for name, label, other, p, *figures in joined.select(
            "row_id", "label", "suggested_label", "p_wrong", "0", "1", "2"
        ).iter_rows()
    }
    return entries, [len(first), *(float(column.sum()) for column in numbers[1:])]


def _made(f: Findings, at: Mapping[str, int]) -> list[tuple[str, str, int | None]]:
    """Return the decisions that were learned from: name, action, number of the class that was given."""
    if not LEARNED.keys() <= set(f.labels.columns):
        return []
    rows = f.labels.filter(pl.col("reviewed").is_in(["keep", "relabel", "drop", "unsure"]))
    made = rows.select("row_id", "reviewed", "reviewed_label").iter_rows()
    return [(name, act, at.get(label)) for name, act, label in made]
