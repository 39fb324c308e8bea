"""The page: one HTML file that loads nothing, reads without JavaScript and without its style sheet.

Cells of the data are hostile. Every value that a template prints is made safe by `escape.block`, then escaped
by Jinja; a content security policy allows only the one style sheet and the one script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from dataaudit.cells import marker, passage
from dataaudit.escape import block, line
from dataaudit.files import write_page
from dataaudit.report import blocks as b
from dataaudit.report import shown, words
from dataaudit.report.blocks import Writer, chosen, drawn
from dataaudit.report.common import fitted, leaves

if TYPE_CHECKING:
    from pathlib import Path

    from dataaudit.findings.schemas import AnyFindings

SIZE: Final = 1_000_000  # bytes of a page; larger ones were what users of other tools complained about most
_ONE_FILE: Final = "This page is one file: it loads nothing"  # of the footer
_LONGEST: Final = 20_000  # characters of any one value
_SAID: Final = 2_000  # of our own words
_FEWEST: Final = 3  # rows of a table that is worth its place
_NOTEBOOK_ROWS, _NOTEBOOK_COLUMNS, _HEIGHT = 6, 5, 620  # of a notebook's view, the height in pixels
_WHOLE: Final = ("The whole page, with the tables", '.write("findings")')
_CALLS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {  # on the result, by kind of report
    "labels": (
        ("Every row, the most suspect first", ".labels"),
        ("Rows to look at for an honest count", ".sample(60)"),
        ("Learn from what was decided", ".learn(decisions)"),
    ),
    "mismatch": (
        ("What is behind the wrong predictions", ".findings"),
        ("Which training rows are behind each", ".traces"),
    ),
    "explanation": (
        ("Training rows behind the prediction", ".influences"),
        ("What each column adds", ".contributions"),
    ),
    "vulnerability": (
        ("How few changes flip predictions", ".shares"),
        ("The most fragile training rows", ".fragile"),
    ),
}
_FULL: Final = 50  # ranked rows that are shown in full before others get more than the least
_SAMPLE: Final = 12  # share of the room that is kept for the rows of a sample
_SLACK: Final = 200  # bytes: counts in words get longer as rows come
_DOCUMENT: Final = 8_000
_OFF: Final = ("link", "image", "autolink", "html_inline", "html_block", "reference", "lheading")
_TOP, _LAST = 4, 6  # levels of headings within a document: the page has three above
_TAGS: Final = {
    "": "{}",
    "strong": "<b>{}</b>",
    "struck": "<s>{}</s>",
    "marked": "<mark>{}</mark>",
    "underlined": "<em>{}</em>",
    "quiet": '<span class="lo">{}</span>',
    "against": '<span class="p">{}</span>',
    "for": '<span class="ok">{}</span>',
    "warning": '<span class="lo">{}</span>',
    "note": '<span class="lo">{}</span>',
}


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much of a ranked row is shown: characters of line, text and neighbours, and numbers of each."""

    line: int = 110
    text: int = 600
    near: int = 140
    terms: int = 6
    neighbours: int = 3
    columns: int = 40


_DETAILS: Final = (
    _Detail(),
    _Detail(text=280, near=0, terms=4, neighbours=2, columns=20),
    _Detail(line=60, text=100, near=0, terms=3, neighbours=1, columns=8),
)


def page(report: b.Report) -> str:
    """Return the whole page, in as much detail as 1 MB has room for."""
    return fitted(report, SIZE, _page)


def notebook(findings: AnyFindings) -> str:
    """Return what ``_repr_html_`` shows: the verdict, a small table, a chart and what to type next."""
    report = shown(findings, top=_NOTEBOOK_ROWS)[1]
    return glance(report, (*_CALLS.get(report.kind, ()), _WHOLE))


def glance(report: b.Report, calls: tuple[tuple[str, str], ...]) -> str:
    """Return the first table and the first chart of a report in a frame, with calls to type next."""
    blocks = [block for s in report.sections for block in leaves(s.blocks, "page")]
    tables = [block for block in blocks if isinstance(block, b.Table) and block.rows]
    charts = [block for block in blocks if isinstance(block, b.Figure)]
    table = tuple(
        _small(one) for one in sorted(tables, key=lambda one: (not one.head, len(one.rows) < _FEWEST))[:1]
    )
    style = f"{_asset('report.css')}\n{_asset('notebook.css')}"
    values = {"report": report, "blocks": (*table, *charts[:1]), "calls": calls}
    policy = {"style": style, "style_hash": _hash(style)}
    text = _environment().get_template("notebook.html.j2").render({**values, **policy})
    return framed(text, report.headline, height=_HEIGHT)


def _small(table: b.Table) -> b.Table:
    """Return the first rows of a table, as little of each as tells them apart."""
    at = [i for i in table.terminal or range(len(table.head)) if i < len(table.head)][:_NOTEBOOK_COLUMNS]
    rows = tuple(tuple(row[i] for i in at if i < len(row)) for row in table.rows[:_NOTEBOOK_ROWS])
    return replace(
        table,
        head=tuple(table.head[i] for i in at),
        rows=rows,
        terminal=(),
        bars=table.bars[:_NOTEBOOK_ROWS],
        total=max(table.total, len(table.rows)),
    )


def write_report(findings: AnyFindings, path: Path) -> Path:
    """Write the page of findings to a file, whole or not at all, without what their audit was to withhold."""
    return write_page(page(shown(findings, folder=path.parent.as_posix())[1]), path)


def parted(page: str) -> dict[str, str]:
    """Return a page as files, itself the last, for servers that forbid style and script within it."""
    head, _, rest = page.partition("<style>")
    style, _, rest = rest.partition("</style>")
    body, _, code = rest.rpartition("<script>")
    code, _, end = code.partition("</script>")
    parts = {"report.css": style} | ({"report.js": code} if body else {})
    linked = f'{body}<script src="report.js"></script>{end}' if body else rest
    head = re.sub("'sha256-[^']*'", "'self'", head) + '<link rel="stylesheet" href="report.css">'
    linked = linked.replace(_ONE_FILE, f"This page loads {' and '.join(parts)} next to it")
    return {**parts, "report.html": head + linked}


def framed(page: str, title: str, *, height: int) -> str:
    """Return a page in a frame, for a notebook's ``_repr_html_``: it runs nothing and reaches nothing."""
    size = f'width="100%" height="{height}" style="border:0;resize:vertical"'
    name, inner = escape(block(title)), escape(page)
    return f'<iframe title="{name}" sandbox="" {size} srcdoc="{inner}"></iframe>'


def _page(report: b.Report) -> str:
    """Return the page with as many ranked rows as it has room for."""
    sections = tuple(
        replace(s, key=s.key or re.sub("[^a-z]+", "-", s.title.lower()).strip("-"))
        for s in report.sections
        if any(not isinstance(block, b.Only) or "page" in block.media for block in s.blocks)
    )
    found = {block.style: block for s in sections for block in s.blocks if isinstance(block, b.Rows)}
    rows, sample = found.get("list"), found.get("sample")
    if rows is None:
        return _render(report, sections)
    bare = _render(report, sections, rows=rows, texts=(Markup(""),) * len(rows.items))
    room = max(SIZE - len(bare.encode()) - _SLACK, 0)
    texts = _fit(rows.items, room - (room // _SAMPLE if sample else 0))
    if sample:
        drawn = replace(sample, drawn=_fit(sample.items, room - sum(map(_size, texts)), "sampled"))
        sections = _with(sections, sample, drawn)
    return _render(report, sections, rows=rows, texts=texts)


def _with(sections: tuple[b.Section, ...], old: b.Block, new: b.Block) -> tuple[b.Section, ...]:
    """Return the sections with one block in the place of another."""
    return tuple(
        replace(s, blocks=tuple(new if block is old else block for block in s.blocks)) for s in sections
    )


def _render(
    report: b.Report,
    sections: tuple[b.Section, ...],
    *,
    rows: b.Rows | None = None,
    texts: tuple[Markup, ...] = (),
) -> str:
    scripts: list[str] = []
    if rows is not None:
        n = len(texts)
        queue = {**rows.queue, "rows": rows.queue["rows"][:n]} if rows.queue and texts else None
        classes = () if queue and queue["number"] else rows.items[:n]  # numbers are too many to choose from
        labels = tuple(sorted({line(row.label, 60) for row in classes}))
        kept = replace(rows, queue=queue, labels=labels)
        sections = _with(sections, rows, kept)
        scripts = ["report.js", *(["review.js"] if queue else [])]
    style, code = _asset("report.css"), "\n".join(map(_asset, scripts))
    values = {"report": report, "sections": sections, "texts": Markup("\n").join(texts), "n": len(texts)}
    policy = {"style": style, "script": code, "style_hash": _hash(style), "script_hash": _hash(code)}
    return _environment().get_template("page.html.j2").render({**values, **policy})


def _fit(rows: tuple[b.Row, ...], room: int, macro: str = "row") -> tuple[Markup, ...]:
    """Render the first rows in full and the later ones in brief, so that all fit `room` bytes.

    Where even the briefest do not fit, the last rows are left out. The first ones are full in any case that
    leaves room for the others: they are read most.
    """
    draw = getattr(_environment().get_template("blocks.html.j2").module, macro)

    @cache
    def text(at: int, detail: _Detail) -> Markup:  # most are never drawn in full: room ends before
        shown: Markup = draw(_brief(rows[at], detail), max(len(rows[at].cells) - detail.columns, 0))
        return shown

    whole, some, least = _DETAILS
    if all(size <= room for size in accumulate(_size(text(at, whole)) for at in range(len(rows)))):
        return tuple(text(at, whole) for at in range(len(rows)))
    kept = [text(at, least) for at in range(len(rows))]
    left = room - sum(map(_size, kept))
    while kept and left < 0:
        left += _size(kept.pop())
    for rich, most in ((whole, _FULL), (some, len(kept)), (whole, len(kept))):
        for at in range(min(most, len(kept))):
            more = _size(text(at, rich)) - _size(kept[at])
            if more > left:
                break
            if more > 0:
                left, kept[at] = left - more, text(at, rich)
    return tuple(kept)


def _brief(row: b.Row, detail: _Detail) -> b.Row:
    def cut(cell: b.Cell, length: int) -> b.Cell:
        length = min(cell.length, length)
        return replace(cell, text=passage(cell.text, cell.marks, length), length=length)

    def near(rows: tuple[b.Near, ...]) -> tuple[b.Near, ...]:
        kept = (n if detail.near or n.begins.picture else replace(n, begins=b.Cell("")) for n in rows)
        return tuple(replace(n, begins=cut(n.begins, detail.near)) for n in kept)

    kept = chosen([name for name, _ in row.cells], row.telling, detail.columns)
    return replace(
        row,
        begins=replace(row.begins, length=detail.line)
        if len(row.cells) > 1
        else cut(row.begins, detail.line),
        cells=tuple((row.cells[at][0], cut(row.cells[at][1], detail.text)) for at in kept),
        against=row.against[: detail.terms],
        support=row.support[: detail.terms],
        other=near(row.other[: detail.neighbours]),
        same=near(row.same[: detail.neighbours]),
    )


def _size(text: Markup) -> int:
    return len(text.encode()) + 1  # and the newline


def _inline(text: b.Inline) -> Markup:
    """Return words with cells among them, in one line."""
    if isinstance(text, tuple):
        return Markup("").join(_part(part, apart=True) for part in text)
    return _part(text, apart=False)


def _part(part: b.Part, *, apart: bool) -> Markup:
    if isinstance(part, str):
        return escape(line(part, _SAID) if not apart else block(part, _SAID))
    if isinstance(part, b.Cell):
        shown = _picture(part) if part.picture else _marked(line(part.text, part.length), part)
        shown = Markup("<bdi>{}</bdi>").format(shown) if apart and not part.picture else shown
    else:
        shown = escape(block(part.text, _SAID))
    return Markup(_TAGS[part.tone]).format(shown)  # noqa: S704 - a tag of ours


def _cell(text: b.Inline) -> Markup:
    """Return what stands in a cell of a table: a cell of the data keeps its lines."""
    if not isinstance(text, b.Cell) or text.picture:
        return _inline(text)
    return Markup(_TAGS[text.tone]).format(_marked(block(text.text, text.length), text))  # noqa: S704


def _picture(cell: b.Cell) -> Markup:
    tag = Markup('<img class="px" src="{}" alt="{}" width="{}" height="{}">')
    return tag.format(cell.picture, line(cell.text, 600), cell.size, cell.size)


def _marked(text: str, cell: b.Cell) -> Markup:
    """Return the text with the words that are evidence marked; everything else is escaped."""
    pieces, end = [], 0
    for start, stop, value in marker(cell.marks).spans(text):
        tag = Markup("<mark>{}</mark>" if value < 0 else "<em>{}</em>")  # noqa: S704 - our own tags
        pieces += [escape(text[end:start]), tag.format(text[start:stop])]
        end = stop
    return Markup("").join([*pieces, escape(text[end:])])


def _words(text: b.Inline) -> str:
    """Return an inline without tones, for attributes and titles."""
    return "".join(
        part if isinstance(part, str) else line(part.text, getattr(part, "length", 400))
        for part in b.parts(text)
    )


def _left(shown: b.Table | b.Cards) -> str:
    """Say how many rows or cards are not shown."""
    here = shown.rows if isinstance(shown, b.Table) else shown.items
    return words.more(shown.total - len(here), *shown.rest)


def _document(text: str) -> Markup:
    """Return Markdown as HTML without links, pictures and tags, its headings below those of the page."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - few pages have documents

    parser = MarkdownIt("commonmark", {"html": False}).disable(list(_OFF))
    tokens = parser.parse(block(text, _DOCUMENT).strip())
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    levels = sorted({token.tag for token in headings})
    for token in headings:
        token.tag = f"h{min(_TOP + levels.index(token.tag), _LAST)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}).strip())  # noqa: S704 - HTML is off


def _island(values: Mapping[str, Any]) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element or break a line."""
    text = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _asset(name: str) -> str:
    """Read a file of ``reports/``; its lines end in newlines, as in the page, or the hash would not fit."""
    text = files("dataaudit.reports").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").strip()


def _hash(text: str) -> str:
    """Return what a content security policy calls sha256: the digest in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _safe(value: object) -> object:
    """Show control characters of every printed value, before Jinja escapes it."""
    return block(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def make_ready() -> None:
    """Compile the templates, which takes longer than to draw a page with them."""
    for name in ("page", "blocks", "charts", "review"):
        _environment().get_template(f"{name}.html.j2")


@cache
def _environment() -> Environment:
    """Return the one environment: everything is escaped, nothing may be undefined."""
    made = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        keep_trailing_newline=False,
    )
    made.globals["kind"] = lambda block: type(block).__name__
    made.filters |= {
        "inline": _inline,
        "cell": _cell,
        "words": _words,
        "left": _left,
        "document": _document,
        "island": _island,
    }
    return made


WRITERS: Final = {"html": Writer("html", ".html", "one page for people, with charts", drawn(page))}
