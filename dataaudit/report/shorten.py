"""Reports with less detail: fewer rows and cards, shorter cells, then sections of the last rank left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from dataaudit.report.blocks import (
    Block,
    Card,
    Cards,
    Cell,
    Document,
    Facts,
    Fold,
    Grid,
    Group,
    Inline,
    Lines,
    List,
    Only,
    Part,
    Record,
    Report,
    Rows,
    Section,
    Sentence,
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
        yield shortened(report, detail)


def shortened(report: Report, detail: Detail) -> Report:
    """Return the report in less detail."""
    return replace(
        report,
        short=True,
        sentences=tuple(_inline(text, detail) for text in report.sentences),
        steps=tuple((name, _inline(text, detail)) for name, text in report.steps),
        sections=tuple(_section(s, detail) for s in report.sections if s.rank <= detail.rank or _has_rows(s)),
    )


def _has_rows(section: Section) -> bool:
    """Whether a section has the ranked rows, which the page itself cuts."""
    return any(isinstance(block, Rows) for block in section.blocks)


def _section(section: Section, detail: Detail) -> Section:
    return replace(section, blocks=_blocks(section.blocks, detail), lead=_inline(section.lead, detail))


def _blocks(blocks: tuple[Block, ...], detail: Detail) -> tuple[Block, ...]:
    return tuple(_block(block, detail) for block in blocks)


def _block(block: Block, detail: Detail) -> Block:
    match block:
        case Sentence():
            return replace(block, text=_inline(block.text, detail))
        case List() | Lines():
            return replace(block, items=tuple(_inline(text, detail) for text in block.items[: detail.rows]))
        case Table():
            return _table(block, detail)
        case Facts():
            return Facts(tuple((name, _inline(text, detail)) for name, text in block.pairs[: detail.rows]))
        case Record():
            return _record(block, detail)
        case Document():
            return replace(block, text=block.text[: 20 * detail.text])
        case Cards():
            items = tuple(_card(card, detail) for card in block.items[: detail.cards])
            overview = _table(block.overview, detail) if block.overview else None
            return replace(block, items=items, overview=overview, total=max(block.total, len(block.items)))
        case Fold() | Group() | Only():
            return replace(block, blocks=_blocks(block.blocks, detail))
        case Grid():
            return Grid(tuple(_blocks(column, detail) for column in block.columns))
    return block


def _card(card: Card, detail: Detail) -> Card:
    return replace(card, title=_inline(card.title, detail), blocks=_blocks(card.blocks, detail))


def _table(table: Table, detail: Detail) -> Table:
    rows = tuple(tuple(_inline(text, detail) for text in row) for row in table.rows[: detail.rows])
    return replace(table, rows=rows, total=max(table.total, len(table.rows)), bars=table.bars[: detail.rows])


def _record(record: Record, detail: Detail) -> Record:
    cells = tuple((name, _cell(cell, 2 * detail.text)) for name, cell in record.cells[: detail.columns])
    return replace(record, cells=cells, total=max(record.total, len(record.cells)))


def _inline(text: Inline, detail: Detail) -> Inline:
    if isinstance(text, tuple):
        return tuple(_part(part, detail) for part in text)
    return _part(text, detail)


def _part(part: Part, detail: Detail) -> Part:
    if isinstance(part, Cell):
        return _cell(part, detail.text)
    text, most = part if isinstance(part, str) else part.text, 3 * detail.text
    if len(text) <= most:
        return part
    cut = text[:most].rstrip() + "…"
    return cut if isinstance(part, str) else replace(part, text=cut)


def _cell(cell: Cell, length: int) -> Cell:
    return replace(cell, length=min(cell.length, length))
