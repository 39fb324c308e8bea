"""Reports with less detail: fewer rows and cards, shorter cells, then sections of the last rank left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

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
