"""What reports of several kinds have in common: rows left out, checks, columns, the run, commands, size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dataaudit.findings.record import WITHHELD, AuditRecord, PairRecord
from dataaudit.report import blocks as b
from dataaudit.report import words

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.report.charts import Lanes, Matrix, Plot

NAME: Final = 120  # characters of a row's name
LABEL: Final = 60  # characters of a class or column
_TYPED: Final = 300  # characters of a command that people would type again
_LISTED: Final = 60  # classes, files and settings
_ROLES: Final = 120  # columns
_CLASSES: Final = 6  # named where there is little room
_NOTES: Final = 5  # where there is little room
_NOTE_WIDTH, _NOTE_LINES = 76, 6  # of a terminal of 80 columns
_GOOD: Final = (0.9, 1.1)  # a slope within reads as agreement

Fact = dict[str, Any]  # a row of a table of findings
Facets = tuple[tuple[str, b.Inline], ...]


def said(*sentences: b.Inline) -> tuple[b.Inline, ...]:
    """Return the sentences that say something."""
    return tuple(sentence for sentence in sentences if sentence)


def few(n: float, thing: str) -> str:
    """Return a number of things: ``1 row``, ``2,000 rows``."""
    return f"{n:,.0f} {thing}{'' if n == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """Return parts as in ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def joined(parts: Iterable[b.Inline], by: str = ", ") -> tuple[b.Part, ...]:
    """Return inlines with commas between them, as one."""
    flat: list[b.Part] = []
    for part in parts:
        flat += [by] if flat else []
        flat += b.parts(part)
    return tuple(flat)


def names(texts: Sequence[str], most: int = _CLASSES) -> tuple[b.Part, ...]:
    """Return some names with commas."""
    shown = joined(b.Cell(text, 40) for text in texts[:most])
    return (*shown, f" … and {len(texts) - most:,} more") if len(texts) > most else shown


def pair_names(p: PairRecord) -> tuple[b.Part, ...]:
    """Name the training and the test data, once where they are the same."""
    return joined((b.Cell(name) for name in dict.fromkeys((p.train, p.test))), " and ")


def unjudged(p: PairRecord) -> str:
    """Say how many test rows were left out, and why; nothing if none were."""
    known = p.settings.get("unjudged") or {}
    parts = []
    if strange := known.get("strange", 0):
        have = "row has" if strange == 1 else "rows have"
        parts.append(f"{strange:,} test {have} a class that no training row has{strange_classes(p)}")
    if bare := known.get("unlabelled", 0):
        parts.append(f"{bare:,} test {'row has' if bare == 1 else 'rows have'} no label")
    return f"Not judged: {' and '.join(parts)}." if parts else ""


def strange_classes(p: PairRecord) -> str:
    """Return the classes that training lacks in brackets, as far as they may be shown."""
    known = (p.settings.get("unjudged") or {}).get("classes", ())
    shown = [f"“{name[:LABEL]}”" for name in known if name != WITHHELD]
    return f" ({', '.join(shown)})" if shown else ""


def checked(health: pl.DataFrame) -> str:
    """Say whether the audit itself is in order; nothing where nothing was checked."""
    if not len(health):
        return ""
    failed, n = int((~health["ok"]).sum()), len(health)
    if failed:
        return f"{failed} of {n} checks of the audit itself failed: see how far to trust it before you act."
    return f"Every check of the audit itself passed ({n})."


class Refit(NamedTuple):
    """A change of loss that was predicted, and measured by a true refit."""

    row_id: str
    change: str
    predicted: float
    measured: float


def size(p: AuditRecord) -> str:
    """Return the number of features, or whose probabilities there are."""
    return p.basis if p.outside else f"{words.count(p.n_features)} features"


def refits_of(refits: Sequence[Refit], *, none: str) -> tuple[str, bool]:
    """Say in one sentence whether the predictions hold, or `none` without refits; and whether it is known."""
    from dataaudit.statistics import FEWEST, agreement  # noqa: PLC0415 - a check has no refits

    found = agreement(refits)
    slope, pearson = found.slope, found.pearson
    if len(refits) < FEWEST or not (math.isfinite(slope) and math.isfinite(pearson)):
        return none, False
    agree = "agree" if _GOOD[0] <= slope <= _GOOD[1] else "do not agree well"
    numbers = f"slope {words.fixed(slope, 3)}, Pearson’s correlation {words.fixed(pearson, 4)}"
    return f"Predicted and measured changes of loss {agree} over {len(refits)} true refits: {numbers}.", True


def charts(*plots: Plot | Lanes | Matrix | None) -> b.Grid:
    """Return charts next to each other, those that there are."""
    return b.Grid(tuple((b.Figure(plot),) for plot in plots if plot))


def trust(
    health: pl.DataFrame, said: str, *figures: b.Block, page: bool = True, terminal: bool = False
) -> b.Section:
    """Say how far to trust the audit: the agreement of refits in words, checks, charts.

    The sentence is for Markdown, and for the page and the terminal where these are asked for.
    """
    media: tuple[b.Medium, ...] = ("markdown", *b.PAGE * page, *b.TERMINAL * terminal)
    checks = tuple(b.Check(name, ok, message or name) for name, _, _, ok, message in health.iter_rows())
    blocks = (b.Only(media, (b.Sentence(said, "quiet"),)), b.Checks(checks), *figures)
    return b.Section("How far to trust it", blocks, rank=1, key="trust")


def following(*commands: tuple[str, str]) -> b.Section:
    """Return what to type next, without commands that would hold what is withheld."""
    shown = tuple((purpose, typed) for purpose, typed in commands if typed and WITHHELD not in typed)
    return b.Section("Next", (b.Only(b.BRIEF, (b.Commands(shown),)),) if shown else (), rank=0, key="next")


def to_type(p: AuditRecord, folder: str, *commands: tuple[str, str]) -> b.Section:
    """Return the page to open, and what to type next where the audit itself was a command."""
    return following(page_of(folder), *(commands if may_type(p) else ()))


def page_of(folder: str) -> tuple[str, str]:
    """Return the command that opens the page; empty without a folder."""
    return ("Open the page", f"{folder.rstrip('/')}/report.html" if folder else "")


def may_type(p: AuditRecord) -> bool:
    """Whether the audit was a command that people would type again."""
    return p.command.startswith("audit ") and len(p.command) <= _TYPED


def notes(p: AuditRecord, folder: str, *, said: Sequence[str] = ()) -> b.Section:
    """Return in a few lines what was left out or read in another way, for where there is no page.

    What was `said` already is not said again.
    """
    known = " ".join(said)
    leading = [note for note in p.notes[: p.leading] if note not in known]
    shown = leading if len(leading) <= _NOTES else leading[: _NOTES - 1]
    spare, lines = _NOTE_LINES - len(shown), list[b.Inline]()
    for note in (_shortly(note, p) for note in shown):
        more = min(spare, (len(note) - 1) // _NOTE_WIDTH, 1)
        spare -= more
        room = (1 + more) * _NOTE_WIDTH - 8 * more  # a line is seldom full
        lines.append(note if len(note) <= room else f"{note[: room - 1].rstrip()}…")
    if left := len(leading) - len(shown):
        lines.append(f"… and {left:,} more {'on the page' if folder else 'in the notes of the provenance'}.")
    found = (b.Only(b.BRIEF, (b.List(tuple(lines)),)),) if lines else ()
    return b.Section("What was left out, or read in another way", found, rank=0, key="notes")


def _shortly(note: str, p: AuditRecord) -> str:
    """Return a note with the short names of files, and without that of a single one."""
    origins = (*p.origins, *getattr(p, "test_origins", ()))
    for file, name in words.short_names(str(one["path"]) for one in origins).items():
        if note.startswith(f"{file}: "):
            text = note.removeprefix(f"{file}: ")
            return f"{name}: {text}" if name else text[:1].upper() + text[1:]
    return note


def run(p: AuditRecord, facts: Facets) -> tuple[b.Section, b.Section]:
    """Return the sections on columns and on the run: decisions, provenance, settings, versions."""
    roles = tuple((b.Cell(r["column"]), r["role"], b.Cell(r["reason"], 300)) for r in p.roles)
    table = b.Table(
        caption="What each column is used as",
        head=("Column", "Used as", "Why"),
        rows=roles[:_ROLES],
        total=len(roles),
        rest=("column", "columns"),
        style="plain",
    )
    notes = b.Group("Notes", (b.List(tuple(p.notes[:_LISTED])),))
    columns = (*((table,) if roles else ()), *((notes,) if p.notes else ()))
    command = b.Group("Command", (b.Commands((("", p.command),)),))
    origins = (*p.origins, *getattr(p, "test_origins", ()))
    about = (
        b.Facts((*facts, *_model_facts(p))),
        *((command,) if p.command else ()),
        _fold("Files", "Files that were read", ("file", "format", "rows", "sha256"), _origins(origins)),
        _fold("Settings", "Settings, as resolved", ("setting", "value"), _pairs(p.settings)),
        _fold("Versions", "Versions of Python and libraries", ("package", "version"), _pairs(p.versions)),
    )
    return (
        b.Section("Columns and decisions", columns, rank=2, key="columns", nav="Columns"),
        b.Section("This run", about, rank=2, key="run"),
    )


def _fold(title: str, caption: str, head: tuple[str, ...], rows: tuple[b.Line, ...]) -> b.Fold:
    return b.Fold(title, (b.Table(caption=caption, head=head, rows=rows, style="plain"),), of=caption)


def _pairs(values: Mapping[str, Any]) -> tuple[b.Line, ...]:
    return tuple((b.Cell(key), b.Cell(_plain(value), 300)) for key, value in sorted(values.items()))


def _origins(origins: Sequence[Mapping[str, Any]]) -> tuple[b.Line, ...]:
    keys = ("path", "format", "rows", "sha256")
    rows = tuple(tuple(b.Cell(_plain(one.get(key, "")), 200) for key in keys) for one in origins[:_LISTED])
    left = len(origins) - _LISTED
    return (*rows, (f"… and {left} more",)) if left > 0 else rows


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _model_facts(p: AuditRecord) -> Facets:
    if p.outside:
        classes = (f"Classes of {p.target[:LABEL]}", names(p.classes, _LISTED))
        return (
            ("Model", b.Cell(p.basis, 300)),
            ("Influence", p.solver_reason),
            classes,
            ("Seed", str(p.seed)),
        )
    return (
        ("Features", words.count(p.n_features)),
        (f"Classes of {p.target[:LABEL]}", names(p.classes, _LISTED)),
        ("Encoding", b.Cell(p.basis, 300)),
        ("λ (regularisation)", words.short(p.l2)),
        ("Solver", f"{p.solver}: {p.solver_reason}"),
        ("Gradient at the fit", words.short(p.gradient_norm)),
        ("Seed", str(p.seed)),
    )


def about(p: AuditRecord, data: tuple[b.Part, ...]) -> b.Inline:
    """Return data, classes and run in one line, for Markdown."""
    return (*data, *_classes(p), "; run ", b.Cell(p.run_id), f" of dataaudit {p.version}.")


def heading(p: AuditRecord, facts: str) -> b.Inline:
    """Return the size of the data and its classes in a few words, for a terminal."""
    return (facts, *_classes(p))


def _classes(p: AuditRecord) -> tuple[b.Part, ...]:
    """Name the classes, or say that labels are numbers."""
    numbers = {"regression": ", labels are numbers", "count": ", labels are counts"}
    return (numbers[p.task],) if p.is_number else (", classes ", *names(p.classes))


def leaves(blocks: Sequence[b.Block], medium: b.Medium) -> Iterator[b.Block | b.Card]:
    """Yield what formats other than the page draw, one below another; of cards and rows their table."""
    for block in blocks:
        match block:
            case b.Only(media, inner):
                yield from leaves(inner if medium in media else (), medium)
            case b.Grid(columns):
                for column in columns:
                    yield from leaves(column, medium)
            case b.Rows(overview=b.Table() as overview) | b.Cards(overview=b.Table() as overview):
                yield overview
            case b.Cards(items=items):
                yield from items
            case _:
                yield block


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown."""

    text: int  # characters of a text
    rows: int  # of a table
    columns: int  # of a record
    cards: int
    rank: int = 2  # the last one


DETAILS: Final = (  # from much to little; above the first of them is the report as it is
    Detail(text=1000, rows=200, columns=40, cards=60),
    Detail(text=400, rows=100, columns=20, cards=40),
    Detail(text=200, rows=40, columns=12, cards=20),
    Detail(text=100, rows=20, columns=8, cards=20),
    Detail(text=80, rows=10, columns=5, cards=10),
    Detail(text=60, rows=5, columns=4, cards=10, rank=1),
    Detail(text=40, rows=3, columns=3, cards=5, rank=0),
)


def fitted(report: b.Report, size: int, draw: Callable[[b.Report], str]) -> str:
    """Return what `draw` makes of the report, in as much detail as `size` bytes have room for."""
    text = ""
    for shown in _ever_shorter(report):
        text = draw(shown)
        if len(text.encode()) <= size:
            break
    return text


def _ever_shorter(report: b.Report) -> Iterator[b.Report]:
    yield report
    for detail in DETAILS:
        sections = tuple(
            section
            for section in report.sections  # the page itself cuts ranked rows
            if section.rank <= detail.rank or any(isinstance(block, b.Rows) for block in section.blocks)
        )
        words = {name: _less(getattr(report, name), detail) for name in ("sentences", "steps")}
        yield replace(report, short=True, sections=_less(sections, detail), **words)


def _less(value: Any, detail: Detail) -> Any:
    """Return a part of a report in less detail."""
    match value:
        case str() if len(value) > 3 * detail.text:
            return value[: 3 * detail.text].rstrip() + "…"
        case tuple():
            return tuple(_less(one, detail) for one in value)
        case b.Cell():
            return replace(value, length=min(value.length, detail.text))
        case b.Document():
            return replace(value, text=value.text[: 20 * detail.text])
        case b.Rows(overview=overview):
            return replace(value, overview=_less(overview, detail))
        case b.Figure():
            return value
        case _ if not is_dataclass(value) or isinstance(value, type):
            return value
    cut = _cut(value, detail)
    return replace(cut, **{f.name: _less(getattr(cut, f.name), detail) for f in fields(cut)})


def _cut(block: Any, detail: Detail) -> Any:
    """Return a block with fewer rows, columns or cards, and the number that there are."""
    match block:
        case b.Table(rows=rows):
            total = max(block.total, len(rows))
            return replace(block, rows=rows[: detail.rows], bars=block.bars[: detail.rows], total=total)
        case b.Record(cells=cells):
            return replace(block, cells=cells[: detail.columns], total=max(block.total, len(cells)))
        case b.Cards(items=items):
            return replace(block, items=items[: detail.cards], total=max(block.total, len(items)))
        case b.List(items=items) | b.Lines(items=items):
            return replace(block, items=items[: detail.rows])
        case b.Facts(pairs=pairs):
            return replace(block, pairs=pairs[: detail.rows])
    return block
