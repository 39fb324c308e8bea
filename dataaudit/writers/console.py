"""A report on a terminal of 80 columns or more, through Rich, and as plain lines for people and for ``grep``.

Everything from outside becomes `Text`, in which Rich reads no markup. No line holds what a CI runner obeys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as Columns
from rich.text import Text

from dataaudit.escape import block as safe_block
from dataaudit.escape import console_line as line
from dataaudit.report import blocks as b
from dataaudit.report import words
from dataaudit.report.blocks import Writer, drawn
from dataaudit.report.common import leaves

_STYLES: Final = {
    "strong": "bold",
    "quiet": "dim",
    "against": "bold red",
    "for": "green",
    "warning": "bold yellow",
    "note": "bold cyan",
    "struck": "",
    "marked": "bold red",
    "underlined": "green",
    "": "",
}
_NUMBER: Final = re.compile(
    r"[<>+−-]?[\N{NO-BREAK SPACE} ]?[\d.,]+(e[−-]?\d+)?([\N{NO-BREAK SPACE} ]?%)?|–|all|"
)
_WIDTH: Final = 80
_INDENT: Final = "    "
_GAP: Final = 2  # columns after each column
_ROOM: Final = 18  # columns from which on a spare column is worth showing
_NAME: Final = 24  # least width of a row's name, where it has as much
_WIDEST: Final = 60  # of a padded column of lines; longer ones push the rest to the right
_DOCUMENT: Final = 20_000  # characters


def show(report: b.Report, console: Console) -> None:
    """Print the answer, what of it everyone should see, and what to type next.

    The console's width, colours and stream are kept; NO_COLOR is Rich's business.
    """
    _print(console, _heading(report))
    _print(console, _verdict(report))
    for section in report.in_line(lambda section: section.rank == 0 or section.key == "trust"):
        for shown in _blocks(section.blocks, console.width):
            _print(console, shown)


def show_lines(report: b.Report, console: Console) -> None:
    """Print the report's lines: folded with an indent on a terminal, whole where programs read them."""
    if not console.is_terminal:
        console.file.write(plain_lines(report))
        return
    width = console.width - len(_INDENT)
    for text in _lines(report.lines, min(width, _WIDTH)):
        first, *rest = text.wrap(console, width) or [Text()]
        shown = Text("\n").join([first, *(Text(_INDENT) + folded for folded in rest)])
        console.print(shown, highlight=False, soft_wrap=True)


def plain_lines(report: b.Report) -> str:
    """Return the report's lines without colour."""
    return "".join(text.plain.rstrip() + "\n" for text in _lines(report.lines, _WIDTH))


def _print(console: Console, shown: RenderableType) -> None:
    if not isinstance(shown, Text) or shown.plain:
        console.print(shown, highlight=False)
        console.print()


def _heading(report: b.Report) -> Text:
    name, facts = _text(report.name), _text(report.facts, "dim")
    name.stylize("bold")
    return Text("\n").join([name, facts]) if facts.plain else name


def _verdict(report: b.Report) -> Text:
    text = Text.assemble((words.closed(line(report.headline)), "bold"), ".")
    said = Text("\n").join(_text(sentence) for sentence in report.sentences)
    return Text("\n").join([text, said]) if said.plain else text


def _blocks(blocks: Sequence[b.Block], width: int) -> Iterator[RenderableType]:
    for block in leaves(blocks, "terminal"):
        match block:
            case b.Sentence(text, tone):
                yield _text(text, _STYLES[tone])
            case b.List(items) | b.Lines(items):
                yield _bullets(items)
            case b.Table():
                yield from _table(block, width)
            case b.Facts(pairs) | b.Record(cells=pairs):
                facts = [Text.assemble((f"{line(name, 40)}: ", "dim"), _text(value)) for name, value in pairs]
                yield Text("\n").join(facts)
            case b.Checks():
                yield _checks(block)
            case b.Commands(items):
                yield _commands(items)
            case b.Group(title, inner) | b.Card(title=title, blocks=inner):
                yield _text(title, "bold")
                yield from _blocks(inner, width)


def _bullets(items: Sequence[b.Inline]) -> Columns:
    """Return items with a hanging indent."""
    grid = Columns.grid(padding=(0, 1, 0, 0))
    for item in items:
        grid.add_row("-", _text(item))
    return grid


def _checks(checks: b.Checks) -> Text:
    """Return each check that failed in full; those that passed are on the page."""
    return Text("\n").join(
        Text.assemble(("FAILED  ", "bold red"), f"{line(check.name, 60)}: ", _text(check.message))
        for check in checks.items
        if not check.ok
    )


def _commands(commands: Sequence[tuple[str, str]]) -> Text:
    text = Text()
    for purpose, command in commands:
        text.append(("\n" if text.plain else "Next\n") + f"  {purpose}:\n    ", style="dim")
        text.append(line(command, 1000), style="bold")
    return text


def _table(table: b.Table, width: int) -> Iterator[RenderableType]:
    if not table.rows:
        return
    chosen = table.terminal or tuple(range(len(table.rows[0])))
    head = [_text(table.head[at]) if table.head else Text() for at in chosen]
    rows = [[_text(row[at]) for at in chosen] for row in table.rows[: table.short]]
    columns = [[row[at] for row in rows] for at in range(len(chosen))]
    if table.spare:
        widths = [
            max(cell.cell_len for cell in (name, *cells)) for name, cells in zip(head, columns, strict=True)
        ]
        left = width - sum(widths[:-1]) - _GAP * len(widths)
        if left < _ROOM:
            head, rows, columns = head[:-1], [row[:-1] for row in rows], columns[:-1]
    grid = Columns(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, show_header=bool(table.head))
    for at, (name, cells) in enumerate(zip(head, columns, strict=True)):
        numbers = all(_NUMBER.fullmatch(cell.plain) for cell in cells)
        last = table.spare and at == len(chosen) - 1
        most = max(cell.cell_len for cell in cells)
        least = most if numbers else min(_NAME, most) if name.plain.endswith("row") else None
        grid.add_column(
            name,
            justify="right" if numbers else "left",
            no_wrap=last,
            overflow="ellipsis" if last else "fold",
            min_width=least,
            max_width=left if last else None,
        )
    for cells in rows:
        grid.add_row(*cells)
    yield grid
    if table.legend:
        shown = f"First {table.short} of {max(table.total, len(table.rows)):,}. "
        first = shown if len(table.rows) > table.short and table.total else ""
        yield Text.assemble((first, "dim"), _text(table.legend, "dim"))


def _text(text: b.Inline, style: str = "", *, tight: bool = True) -> Text:
    shown = Text.assemble(*(_part(part, tight=tight) for part in b.parts(text)))
    if style:
        shown.stylize(style)
    return shown


def _part(part: b.Part, *, tight: bool) -> tuple[str, str]:
    if isinstance(part, b.Cell):
        return line(part.text, part.length), _STYLES[part.tone]
    text, tone = (part, "") if isinstance(part, str) else (part.text, part.tone)
    return words.closed(_kept(text)) if tight else _kept(text), _STYLES[tone]


def _kept(text: str, length: int = 1200) -> str:
    """Return one line with the spaces at its ends, which indent it or part it from a cell."""
    shown, start = line(text, length), " " * (len(text) - len(text.lstrip(" ")))
    return f"{start}{shown}{' ' * (len(text) - len(text.rstrip(' ')))}" if shown else start


def _lines(blocks: Sequence[b.Block], width: int) -> Iterator[Text]:
    for block in blocks:
        match block:
            case b.Lines(items):
                yield from (_text(item, tight=False) for item in items)
            case b.Rule(text, tone):
                yield Text(f" {line(text)} ".center(width, "="), _STYLES[tone])
            case b.Table(rows=rows):
                yield from _padded([[_text(cell, tight=False) for cell in row] for row in rows])
            case b.Document(text):
                for one in safe_block(text, _DOCUMENT).strip().split("\n"):
                    inner = one.lstrip(" ")
                    indent = one[: len(one) - len(inner)]
                    yield Text(f"{_INDENT}{indent}{line(inner, 2000)}", "dim")
            case b.Sentence(text, tone):
                yield _text(text, _STYLES[tone], tight=False)


def _padded(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Yield rows in columns, the first one, a number, to the right: no line begins with a cell."""
    widths = [min(max(len(cell) for cell in column), _WIDEST) for column in zip(*rows, strict=True)]
    for cells in rows:
        fields = [cell.plain.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield Text("  ".join([fields[0].strip().rjust(widths[0]), *fields[1:]]).rstrip())


def _write(_findings: object, report: b.Report, out: TextIO) -> None:
    show(report, Console(file=out))


WRITERS: Final = {
    "console": Writer("console", ".txt", "the summary as a terminal shows it", _write),
    "text": Writer("text", ".txt", "one line per row or finding", drawn(plain_lines)),
}
