"""The registry of output formats: a name leads to a `Writer`, which draws the report of any kind of findings.

What has no room is left out of a report before it is drawn (`fitted`).

Another package adds a format by an entry point that names a `Writer`, in the group of the kind::

    [project.entry-points."dataaudit.writers"]
    prodigy = "mypackage.prodigy:WRITER"

    [project.entry-points."dataaudit.writers.mismatch"]
    slack = "mypackage.slack:WRITER"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal, TextIO

from dataaudit.errors import SettingError, closest
from dataaudit.report.blocks import (
    Cards,
    Cell,
    Document,
    Facts,
    Figure,
    Lines,
    List,
    Record,
    Report,
    Rows,
    Section,
    Table,
)

GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "markdown", "text")
CHECK: Final = ("full", "github", "gitlab", "html", "json", "jsonl", "junit", "markdown", "sarif", "text")
Kind = Literal["labels", "mismatch", "explanation", "vulnerability", "check"]
_MODULES: Final = {  # format → the module that has its writer, in `WRITERS`
    "console": "console",
    "html": "html",
    "json": "json",
    "jsonl": "json",
    "markdown": "markdown",
    "text": "console",
}
_MAPPINGS: Final = (
    "github",
    "gitlab",
    "junit",
    "sarif",
)  # of a verdict, which are no layout: modules of their own


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format: `write` takes findings and report; of a check `Verdict` and `Surroundings`."""

    name: str  # what people type
    suffix: str  # of a file in this format, with the dot
    doc: str  # one line for a list of formats
    write: Callable[[Any, Any, TextIO], None]  # writes the whole output to a text stream that takes UTF-8


def names(kind: Kind = "labels") -> tuple[str, ...]:
    """Return the names of all formats of a kind, ours first, each group sorted."""
    return (*_built_in(kind), *sorted(set(_others(kind)) - set(_built_in(kind))))


def get(name: str, kind: Kind = "labels") -> Writer:
    """Return the writer of a format; it is imported now, not before."""
    if name in _built_in(kind):
        writer = _ours(name, kind)
    elif entry := _others(kind).get(name):
        try:
            writer = entry.load()
        except (ImportError, AttributeError) as error:
            raise SettingError(f"format {name!r} cannot be loaded from {entry.value}: {error}") from error
    else:
        close = closest(name, names(kind))
        hint = f"did you mean {close!r}?" if close else f"the formats are {', '.join(names(kind))}"
        raise SettingError(f"there is no format {name!r}", hint)
    if not isinstance(writer, Writer):
        raise SettingError(f"format {name!r} is no dataaudit.writers.Writer: got {type(writer).__name__}")
    return writer


def _ours(name: str, kind: Kind) -> Writer:
    if kind != "check":
        writer: Writer = import_module(f"dataaudit.writers.{_MODULES[name]}").WRITERS[name]
    elif name in _MAPPINGS:
        writer = import_module(f"dataaudit.writers.{name}").WRITER
    else:
        writer = import_module("dataaudit.writers.verdict").WRITERS[name]
    return writer


def _built_in(kind: Kind) -> tuple[str, ...]:
    return CHECK if kind == "check" else BUILT_IN


def _others(kind: Kind) -> dict[str, EntryPoint]:
    group = GROUP if kind == "labels" else f"{GROUP}.{kind}"
    return {entry.name: entry for entry in entry_points(group=group)}


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown: characters of a text, rows of a table, columns of a record, cards, the last rank."""

    text: int
    rows: int
    columns: int
    cards: int
    rank: int = 2


DETAILS: Final = (  # from much to little; above the first of them is the report as it is
    Detail(text=1000, rows=200, columns=40, cards=60),
    Detail(text=400, rows=100, columns=20, cards=40),
    Detail(text=200, rows=40, columns=12, cards=20),
    Detail(text=100, rows=20, columns=8, cards=20),
    Detail(text=80, rows=10, columns=5, cards=10),
    Detail(text=60, rows=5, columns=4, cards=10, rank=1),
    Detail(text=40, rows=3, columns=3, cards=5, rank=0),
)


def fitted(report: Report, size: int, draw: Callable[[Report], str]) -> str:
    """Return what `draw` makes of the report, in as much detail as `size` bytes have room for."""
    text = ""
    for shown in _ever_shorter(report):
        text = draw(shown)
        if len(text.encode()) <= size:
            break
    return text


def _ever_shorter(report: Report) -> Iterator[Report]:
    yield report
    for detail in DETAILS:
        sections = [s for s in report.sections if s.rank <= detail.rank or _has_rows(s)]
        words = {name: _less(getattr(report, name), detail) for name in ("sentences", "steps")}
        yield replace(report, short=True, sections=_less(tuple(sections), detail), **words)


def _has_rows(section: Section) -> bool:
    """Whether a section has the ranked rows, which the page itself cuts."""
    return any(isinstance(block, Rows) for block in section.blocks)


def _less(value: Any, detail: Detail) -> Any:
    """Return a part of a report in less detail."""
    match value:
        case str() if len(value) > 3 * detail.text:
            return value[: 3 * detail.text].rstrip() + "…"
        case tuple():
            return tuple(_less(one, detail) for one in value)
        case Cell():
            return replace(value, length=min(value.length, detail.text))
        case Document():
            return replace(value, text=value.text[: 20 * detail.text])
        case Rows(overview=overview):
            return replace(value, overview=_less(overview, detail))
        case Figure():
            return value
        case _ if not is_dataclass(value) or isinstance(value, type):
            return value
    cut = _cut(value, detail)
    return replace(cut, **{f.name: _less(getattr(cut, f.name), detail) for f in fields(cut)})


def _cut(block: Any, detail: Detail) -> Any:
    """Return a block with fewer rows, columns or cards, and the number that there are."""
    match block:
        case Table(rows=rows):
            total = max(block.total, len(rows))
            return replace(block, rows=rows[: detail.rows], bars=block.bars[: detail.rows], total=total)
        case Record(cells=cells):
            return replace(block, cells=cells[: detail.columns], total=max(block.total, len(cells)))
        case Cards(items=items):
            return replace(block, items=items[: detail.cards], total=max(block.total, len(items)))
        case List(items=items) | Lines(items=items):
            return replace(block, items=items[: detail.rows])
        case Facts(pairs=pairs):
            return replace(block, pairs=pairs[: detail.rows])
    return block
