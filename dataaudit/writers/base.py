"""The registry of output formats: a name leads to a `Writer`, which draws the report of any kind of findings.

What has no room is left out of a report before it is drawn (`fitted`).

Another package adds a format by an entry point that names a `Writer`, in the group of the kind::

    [project.entry-points."dataaudit.writers"]
    prodigy = "mypackage.prodigy:WRITER"

    [project.entry-points."dataaudit.writers.mismatch"]
    slack = "mypackage.slack:WRITER"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal, TextIO

from dataaudit.errors import SettingError, closest
from dataaudit.report import blocks as b

GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "markdown", "text")
CHECK: Final = ("full", "github", "gitlab", "html", "json", "jsonl", "junit", "markdown", "sarif", "text")
Kind = Literal["labels", "mismatch", "explanation", "vulnerability", "check"]
_MAPPINGS: Final = ("github", "gitlab", "junit", "sarif")  # of a verdict, which are no layout
_MODULES: Final = {"jsonl": "json", "text": "console"}  # formats that have no module of their own


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format: `write` takes findings and report; of a check `Verdict` and `Surroundings`."""

    name: str  # what people type
    suffix: str  # of a file in this format, with the dot
    doc: str  # one line for a list of formats
    write: Callable[[Any, Any, TextIO], None]  # writes the whole output to a text stream that takes UTF-8


def drawn(draw: Callable[[b.Report], str]) -> Callable[[object, b.Report, TextIO], None]:
    """Return the `write` of a format that draws the report alone."""

    def write(_findings: object, report: b.Report, out: TextIO) -> None:
        out.write(draw(report))

    return write


def names(kind: Kind = "labels") -> tuple[str, ...]:
    """Return the names of all formats of a kind, ours first, each group sorted."""
    ours = CHECK if kind == "check" else BUILT_IN
    return (*ours, *sorted(set(_others(kind)) - set(ours)))


def get(name: str, kind: Kind = "labels") -> Writer:
    """Return the writer of a format; it is imported now, not before."""
    if name in (CHECK if kind == "check" else BUILT_IN):
        return _ours(name, kind)
    entry = _others(kind).get(name)
    if entry is None:
        close = closest(name, names(kind))
        hint = f"did you mean {close!r}?" if close else f"the formats are {', '.join(names(kind))}"
        raise SettingError(f"there is no format {name!r}", hint)
    try:
        writer = entry.load()
    except (ImportError, AttributeError) as error:
        raise SettingError(f"format {name!r} cannot be loaded from {entry.value}: {error}") from error
    if not isinstance(writer, Writer):
        raise SettingError(f"format {name!r} is no dataaudit.writers.Writer: got {type(writer).__name__}")
    return writer


def _ours(name: str, kind: Kind) -> Writer:
    laid_out = kind == "check" and name not in _MAPPINGS
    module = "verdict" if laid_out else _MODULES.get(name, name)
    writer: Writer = import_module(f"dataaudit.writers.{module}").WRITERS[name]
    return writer


def _others(kind: Kind) -> dict[str, EntryPoint]:
    group = GROUP if kind == "labels" else f"{GROUP}.{kind}"
    return {entry.name: entry for entry in entry_points(group=group)}


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
