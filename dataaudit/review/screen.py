"""The review on a terminal: a few fixed lines above and below, and the row between them, which scrolls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.screen import Screen
from rich.text import Text

from dataaudit.cells import drawn, marker, passage
from dataaudit.escape import block, line
from dataaudit.report import words
from dataaudit.report.blocks import seen_columns
from dataaudit.report.rows import class_keys, left_out, marks_of, telling, term_name
from dataaudit.review.progress import be, stop_hint
from dataaudit.review.session import HELP, effect

if TYPE_CHECKING:
    from dataaudit.report.rows import Neighbour, ReviewRow, Term
    from dataaudit.review.session import Desk


LEAST: Final = (40, 10)  # columns and lines in which a row can still be read
_AGAINST, _FOR, _DIM, _STRONG = "bold underline red", "underline green", "dim", "bold"
_TEXT, _CELL, _WHOLE = 600, 200, 20_000  # characters of a text, of a cell among others, of cells in full
_TERMS, _NAME, _LONG = 6, 24, 1000


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is on the screen: its lines, how many the row may take, and how many it has."""

    lines: tuple[Text, ...]
    page: int
    total: int


def paint(console: Console, drawn: Drawn) -> None:
    """Draw the whole screen over the last one, in one write, so that it does not flicker."""
    with console:
        console.control(Control.home())
        console.print(Screen(Text("\n").join(drawn.lines)), end="", highlight=False)


def draw(desk: Desk, row: ReviewRow, *, console: Console, notes: Iterable[str] = ()) -> Drawn:
    """Lay the desk out on the lines of the terminal."""
    width, height = console.size
    if width < LEAST[0] or height < LEAST[1]:
        need = f"{LEAST[0]} × {LEAST[1]} are needed"
        small = Text(f"The window is too small: {width} × {height}, and {need}. q quits.")
        return Drawn(tuple(_wrapped(small, console, width)[:height]), 1, 1)
    head = _head(desk, row, console, width)[: height // 2]
    foot = _foot(desk, row, console=console, notes=notes)[-max(2, height // 3) :]
    body = _help() if desk.help else _body(row, whole=desk.whole, blind=desk.review.blind)
    lines = [part for text in body for part in _wrapped(text, console, width)]
    page = height - len(head) - len(foot) - 1
    first = 0 if desk.help else min(desk.scroll, max(0, len(lines) - page))
    seen = lines[first : first + page]
    seen += [Text("")] * (page - len(seen))
    return Drawn((*head, *seen, _rule(width, first, len(lines) - first - page), *foot), page, len(lines))


def _head(desk: Desk, row: ReviewRow, console: Console, width: int) -> list[Text]:
    """Return progress, and what the row is and is thought to be."""
    review = desk.review
    decided = f"  {line(effect(review.queue, review.decision), 60)}" if review.decision else "  not decided"
    number = f"{review.number:,}  "
    room = max(8, width - len(number) - cell_len(decided))
    name = Text.assemble((number, _DIM), (_end(line(row.row_id, _LONG), room), _STRONG))
    name.append(decided, style=_STRONG if review.decision else _DIM)
    said = _blind(row) if review.blind else _suggestion(desk, row, width)
    lines = [part for text in said for part in _wrapped(text, console, width)]
    return [_progress(desk, width), Text("─" * width, style=_DIM), name, *lines, Text("")]


def _suggestion(desk: Desk, row: ReviewRow, width: int) -> list[Text]:
    """Return what the row is thought to be, and what it gets without itself."""
    review = desk.review
    chance = words.closed(words.share(float(review.queue.p_wrong[review.at])))
    label, suggested = line(row.label, 60), line(review.queue.suggested[review.at], 60)
    of = f"{line(row.of, 30)}: " if row.of else ""
    wrong = f"   chance that it is wrong: {chance}"
    change = Text.assemble((of, _DIM), label, (" → ", _DIM), (suggested, _STRONG), wrong)
    change.truncate(width, overflow="ellipsis")
    return [change, Text(f"{words.closed(left_out(row, _named(row)))}.", style=_DIM)]


def _blind(row: ReviewRow) -> list[Text]:
    """Return the label alone: a look that counts must not be led."""
    label = Text.assemble(("labelled ", _DIM), (_named(row), _STRONG))
    return [label, Text("Of the sample: decide by the cells; v shows what the audit suggests.", style=_DIM)]


def _named(row: ReviewRow, label: str = "") -> str:
    """Return a label, by default the row's own, with its column where it is a bare number."""
    return line(words.of_class(label or row.label, row.of), 60)


def _progress(desk: Desk, width: int) -> Text:
    done = desk.review.progress
    parts = [f"{done.decided:,} of {done.rows:,} decided"]
    if done.precision is not None:
        share = words.closed(words.share(done.precision, 0))
        parts.append(f"{done.wrong:,} of {done.sure:,} {be(done.wrong, 'was', 'were')} wrong ({share})")
    if done.left is not None:
        parts.append(f"about {done.left:,.0f} wrong left")
    while len(parts) > 1 and cell_len(" · ".join(parts)) > width:
        parts.pop(1)
    return Text(" · ".join(parts))


def _rule(width: int, above: int, below: int) -> Text:
    """Return the line under the row, which says how much of it is not seen."""
    more = [f"space: {below:,} more below"] if below > 0 else []
    more += [f"b: {above:,} above"] if above > 0 else []
    text = f" {' · '.join(more)} " if more else ""
    return Text("──" + text + "─" * (width - 2 - len(text)), style=_DIM)


def _foot(desk: Desk, row: ReviewRow, *, console: Console, notes: Iterable[str]) -> list[Text]:
    """Return notes and the last message, or the line that is typed, and the keys."""
    width = console.size[0]
    hint = stop_hint(desk.review.progress)
    remarks = [Text(line(note, 300), style=_DIM) for note in notes if note]
    remarks += [Text(hint, style=_STRONG)] if hint else []
    lines = [part for text in remarks for part in _wrapped(text, console, width)]
    if desk.prompt is not None:
        typed = Text.assemble((f"{desk.prompt.asks}: ", _STRONG), line(desk.prompt.text, 2000), "▏")
        while typed.cell_len > width:
            typed = typed[1:]
        return [*lines, typed, Text("Enter: done   Escape: as it was", style=_DIM)]
    message = Text(line(desk.review.message, 300))
    message.truncate(width, overflow="ellipsis")
    return [*lines, message, *_keys(desk, row, width)]


def _keys(desk: Desk, row: ReviewRow, width: int) -> list[Text]:
    """Return the keys that there is room for; the classes on a line of their own where they are many."""
    queue = desk.review.queue
    accept = f"{'→ ' if row.of else ''}{line(queue.suggested[desk.review.at], 20)}"
    suggested = ("v", "more") if desk.review.blind else ("a", accept)
    offered = [suggested, ("x", f"keep {line(row.label, 20)}"), ("d", "drop"), ("s", "unsure")]
    offered += [] if queue.takes is None else [("c", "type")]
    offered += [("u", "undo"), ("j/k", "move"), ("/", "find")]
    last = _legend([("?", "keys"), ("q", "quit")])
    while cell_len(_legend(offered).plain) + 2 + last.cell_len > width:
        offered.pop()
    keys = Text("  ").join([_legend(offered), last])
    if len(queue.classes) <= 2 and not desk.review.blind:  # noqa: PLR2004 - accept and keep are all there is
        return [keys]
    named = zip(class_keys(queue.classes), queue.classes, strict=True)
    classes = _legend([(key, line(name, 20) if key != name else "") for key, name in named if key])
    classes = Text.assemble((f"{line(row.of, 30)}: ", _DIM), classes) if row.of else classes
    classes.truncate(width, overflow="ellipsis")
    return [classes, keys]


def _legend(keys: list[tuple[str, str]]) -> Text:
    return Text("  ").join([Text.assemble((key, _STRONG), f" {does}".rstrip()) for key, does in keys])


def _help() -> list[Text]:
    lines = [Text.assemble((f"{key:<13}", _STRONG), does) for key, does in HELP]
    return [*lines, Text(""), Text("A decision opens the next row that is not decided. Any key goes back.")]


def _body(row: ReviewRow, *, whole: bool, blind: bool) -> list[Text]:
    """Return what speaks against and for the label, the cells, and the rows that are alike."""
    if blind:
        return _cells(dataclasses.replace(row, evidence=()), whole=whole)
    label = _named(row)
    against = _terms(f"against {label}: ", [t for t in row.evidence if t.contribution < 0], _AGAINST)
    support = _terms(f"for {label}: ", [t for t in row.evidence if t.contribution > 0], _FOR)
    parts = [[*against, *support], _cells(row, whole=whole), _near(row)]
    if not row.evidence and not row.neighbours:
        why = "No evidence was kept for this row; audit labels --top N keeps more."
        parts.append([Text(why, style=_DIM)])
    return [text for part in parts if part for text in (*part, Text(""))][:-1]


def _terms(head: str, terms: list[Term], style: str) -> list[Text]:
    if not terms:
        return []
    text = Text(head, style=_DIM)
    for at, term in enumerate(terms[:_TERMS]):
        text.append(", " if at else "", style="not dim")
        text.append(line(term_name(term), 40), style=f"not dim {style}")
        text.append(f" {words.signed(term.contribution)}")
    return [text]


def _cells(row: ReviewRow, *, whole: bool) -> list[Text]:
    """Return the text, or one line a column, with the words that are evidence marked."""
    if seen := drawn(row.picture):
        return [Text(seen)]
    if len(row.cells) == 1:
        text = row.cells[0].text
        return [_marked(block(text if whole else _passage(text, row, _TEXT), _WHOLE).strip("\n"), row)]
    tones, columns = telling(row.evidence), [cell.column for cell in row.cells]
    places = range(len(columns)) if whole else seen_columns(columns, tones)
    names = [line(columns[at], 30) for at in places]
    wide = max((cell_len(name) for name in names), default=0)
    lines = []
    for cell, name in zip((row.cells[at] for at in places), names, strict=True):
        value = block(cell.text, _WHOLE) if whole else line(_passage(cell.text, row, _CELL), _CELL)
        shown = _marked(value, row)
        if tone := tones.get(cell.column):
            shown.stylize(_AGAINST if tone == "marked" else _FOR)
        lines.append(Text.assemble((name + " " * (wide - cell_len(name) + 2), _DIM), shown))
    left = len(columns) - len(lines)
    return [*lines, Text(f"… and {left} more columns: f shows them", style=_DIM)] if left else lines


def _passage(text: str, row: ReviewRow, length: int) -> str:
    return passage(text, marks_of(row.evidence), length)


def _marked(text: str, row: ReviewRow) -> Text:
    shown = Text(text)
    for start, stop, value in marker(marks_of(row.evidence)).spans(text):
        shown.stylize(_AGAINST if value < 0 else _FOR, start, stop)
    return shown


def _near(row: ReviewRow) -> list[Text]:
    lines = []
    for same in (False, True):
        near = [neighbour for neighbour in row.neighbours if neighbour.same_label == same]
        if near:
            are_numbers = row.residual is not None
            among = "" if are_numbers else f" among {_named(row, near[0].label)}"
            lines.append(Text(f"most like it{among}:", style=_DIM))
            lines += [_neighbour(one, one.label if are_numbers else "") for one in near]
    return lines


def _neighbour(neighbour: Neighbour, label: str) -> Text:
    text = Text(f"  {words.fixed(neighbour.similarity)}  ", no_wrap=True, overflow="ellipsis")
    text.append(f"{line(label, 20)}  " if label else "", style=_STRONG)
    text.append(_end(line(neighbour.row_id, _LONG), _NAME))
    text.append(f"  {line(neighbour.excerpt, 240)}", style=_DIM)
    return text


def _end(name: str, room: int) -> str:
    """Return the end of a name that is too long: it tells one row from another."""
    if cell_len(name) <= room:
        return name
    while cell_len(name) >= room:
        name = name[1:]
    return f"…{name}"


def _wrapped(text: Text, console: Console, width: int) -> list[Text]:
    if text.no_wrap:
        short = text.copy()
        short.truncate(width, overflow="ellipsis")
        return [short]
    return list(text.wrap(console, width)) or [Text("")]
