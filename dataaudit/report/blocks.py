"""A report before it has a format: a small tree of blocks, which every writer draws in its own way.

Plain strings are our own words, `Cell` is text from the data; a writer makes both harmless, and sets cells
apart. Numbers are words already (`report.words`). A section's rank says where it stands: 0 everywhere, 1 on
the page and folded in Markdown, 2 on the page only.

`Only` narrows single blocks to some formats. What has no room is shed in the order of ranks, the last first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

if TYPE_CHECKING:
    from dataaudit.report.charts import Lanes, Matrix, Plot


Tone = Literal["", "strong", "quiet", "against", "for", "warning", "note", "struck", "marked", "underlined"]
Medium = Literal["page", "markdown", "terminal"]
SEEN: Final = 12  # columns of a row that are seen at once
PAGE: Final[tuple[Medium, ...]] = ("page",)
BRIEF: Final[tuple[Medium, ...]] = ("markdown", "terminal")
MARKDOWN: Final[tuple[Medium, ...]] = ("markdown",)
TERMINAL: Final[tuple[Medium, ...]] = ("terminal",)


@dataclass(frozen=True, slots=True)
class Cell:
    """Text from the data."""

    text: str
    length: int = 80  # to which it is cut
    tone: Tone = ""
    marks: tuple[tuple[str, float], ...] = ()  # words in it that speak for (> 0) or against a label
    picture: str = ""  # a data URL, which the page shows in the place of the text
    size: int = 56  # pixels of its width


@dataclass(frozen=True, slots=True)
class Words:
    """Words of ours with a tone."""

    text: str
    tone: Tone


Part = str | Cell | Words
Inline = str | Cell | Words | tuple[Part, ...]
Line = tuple[Inline, ...]  # of a table


@dataclass(frozen=True, slots=True)
class Sentence:
    """A paragraph."""

    text: Inline
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class List:
    """Sentences, one below another."""

    items: tuple[Inline, ...]
    style: Literal["plain", "near"] = "plain"  # near: rows, each with how it begins below its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of cells, its first column naming the rows."""

    caption: str
    head: Line = ()
    rows: tuple[Line, ...] = ()
    total: int = 0  # how many rows there are, where these are not all
    rest: tuple[str, str] = ("row", "rows")  # what the others are, one and many: "rows: attacks.parquet"
    short: int = 10  # rows on a terminal
    terminal: tuple[int, ...] = ()  # columns on a terminal; all if empty
    spare: bool = False  # whether a terminal has the last column only where there is room
    bars: tuple[float, ...] = ()  # lengths from 0 to 1, which the page draws in one more column
    lead: Inline = ""  # for the page
    legend: Inline = ""  # explains the columns, below
    style: Literal["cells", "said", "outcomes", "plain"] = "cells"


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, which knows the table of its numbers; it is drawn on the page."""

    plot: Plot | Lanes | Matrix


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    pairs: tuple[tuple[str, Inline], ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is called, whether it passed, and what it says."""

    name: str
    ok: bool
    message: Inline


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks: the page has all of them, a terminal those that failed."""

    items: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type next: a purpose and a command, each."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row: a text where there is but one, else columns, of which `total` are there."""

    cells: tuple[tuple[str, Cell], ...]
    of: str
    total: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """Markdown that is shown as such, like the documentation of a rule; no more trusted than cells are."""

    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines as linters write them: never broken but on a terminal, where they hang."""

    items: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Words between two rows of ``=``."""

    text: str
    tone: Tone = "strong"


@dataclass(frozen=True, slots=True)
class Near:
    """A row like another one: how alike, in words, and how it begins."""

    row_id: str
    label: str
    similarity: str
    begins: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row to review."""

    rank: int
    row_id: str
    label: str
    suggested: str
    wrong: str
    likely: bool
    sentences: tuple[str, ...]
    begins: Cell
    cells: tuple[tuple[str, Cell], ...]
    against: tuple[tuple[str, str], ...]  # names of terms, and log-odds in words
    support: tuple[tuple[str, str], ...]
    other: tuple[Near, ...]
    same: tuple[Near, ...]
    sort: tuple[str, int]  # the loss, and a rank
    of: str = ""  # the column of the labels, where these are bare numbers
    named: str = ""  # the label, with its column where it is a bare number
    telling: tuple[str, ...] = ()  # columns that are evidence
    order: int = 0  # in the sample, from 1
    reviewed: str = ""  # what was decided before

    @property
    def parted(self) -> tuple[tuple[tuple[str, Cell], ...], tuple[tuple[str, Cell], ...]]:
        """The columns to see at once and those on a click, each in the order of the table."""
        seen = set(seen_columns([name for name, _ in self.cells], self.telling))
        others = tuple(pair for at, pair in enumerate(self.cells) if at not in seen)
        return tuple(pair for at, pair in enumerate(self.cells) if at in seen), others


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Ranked rows: the first ones at a glance, or the list to find, sort and decide in; or a sample."""

    items: tuple[Row, ...]
    style: Literal["first", "list", "sample"]
    overview: Table | None = None  # for other formats than the page
    total: int = 0
    labels: tuple[str, ...] = ()
    queue: Mapping[str, Any] | None = None  # what the page's script decides with; None: nothing to decide
    apply: str = ""  # the command that carries decisions out, or learns from them
    drawn: Sequence[str] = ()  # items as the page has drawn them


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Something that stands for itself: a finding, an attack, a row."""

    title: Inline
    blocks: tuple[Block, ...] = ()
    name: str = ""  # for screen readers; the title if empty
    key: str = ""
    number: Inline = ""
    badge: Inline = ""  # how grave it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Cards on the page; `total` and `rest` as of a table."""

    items: tuple[Card, ...]
    overview: Table | None = None  # for other formats
    numbered: bool = False
    empty: str = ""
    total: int = 0
    rest: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that open on a click; a terminal leaves them out."""

    title: str
    blocks: tuple[Block, ...]
    open: bool = False
    of: str = ""  # tells alike folds apart for screen readers


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks under a heading of their own within a section."""

    title: Inline
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns of blocks: next to each other on a wide page, else below."""

    columns: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True, slots=True)
class Only:
    """Blocks for some formats."""

    media: tuple[Medium, ...]
    blocks: tuple[Block, ...]


Block = (
    Sentence | List | Table | Figure | Facts | Checks | Commands | Record | Document | Lines | Rule | Rows
    | Cards | Fold | Group | Grid | Only
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    blocks: tuple[Block, ...]
    rank: int = 1
    key: str = ""  # "trust" and "next" stand last where there is no page
    nav: str = ""  # its name in the list of sections
    lead: Inline = ""  # for the page, below the title
    folded: bool = False  # whether Markdown folds it also at rank 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown of some findings."""

    kind: str
    over: Inline  # what kind of report of which data, above the headline of the page
    name: Inline  # of the data: the heading on a terminal, the title of a page
    facts: Inline = ""  # their size in a few words
    headline: str
    sentences: tuple[Inline, ...] = ()
    about: Inline = ""  # data and run in one line, for Markdown
    steps: tuple[tuple[str, Inline], ...] = ()  # what to do next, for the page: a title and an explanation
    sections: tuple[Section, ...] = ()
    lines: tuple[Block, ...] = ()  # what the format "text" writes
    version: str = ""
    mark: str = ""  # by which a program finds the report in Markdown
    provenance: Mapping[str, Any] = field(default_factory=dict)
    records: str | tuple[Mapping[str, Any], ...] = ()  # JSON lines: the name of a table, or objects
    short: bool = False  # whether more is on the page

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """What to type next, of the section that says so."""
        found = [block for section in self.sections if section.key == "next" for block in section.blocks]
        found += [block for outer in found if isinstance(outer, Only) for block in outer.blocks]
        return tuple(pair for block in found if isinstance(block, Commands) for pair in block.items)

    def in_line(self, wanted: Callable[[Section], bool]) -> list[Section]:
        """Return the sections that are wanted where there is no page, trust and commands last."""
        return sorted(filter(wanted, self.sections), key=lambda section: section.key in ("trust", "next"))


def chosen(names: Sequence[str], telling: Collection[str], most: int) -> list[int]:
    """Return the places of so many columns in the table's order: those that tell, then the first others."""
    return sorted(sorted(range(len(names)), key=lambda at: names[at] not in telling)[:most])


def seen_columns(names: Sequence[str], telling: Collection[str]) -> list[int]:
    """Return the places of the columns to see at once: all where they are few, else those that tell."""
    most = len(set(telling) & set(names)) if len(names) > SEEN else 0
    return chosen(names, telling, most or len(names))


def parts(text: Inline) -> tuple[Part, ...]:
    """Return an inline as the parts it has."""
    return text if isinstance(text, tuple) else (text,)


def plain(text: Inline) -> str:
    """Return the text of an inline without tones."""
    return "".join(part if isinstance(part, str) else part.text for part in parts(text))


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format: `write` takes findings and report; of a check `Verdict` and `Surroundings`."""

    name: str  # what people type
    suffix: str  # of a file in this format, with the dot
    doc: str  # one line for a list of formats
    write: Callable[[Any, Any, TextIO], None]  # writes the whole output to a text stream that takes UTF-8


def drawn(
    draw: Callable[[Report], str], of: Callable[[Any], Report] | None = None
) -> Callable[[Any, Any, TextIO], None]:
    """Return the `write` of a format that draws the report it is given, or what `of` makes of the verdict."""

    def write(found: Any, report: Any, out: TextIO) -> None:
        out.write(draw(of(found) if of else report))

    return write
