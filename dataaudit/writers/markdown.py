"""Markdown that hostile cells cannot leave, for comments on GitHub, GitLab and alike: at most 64 kB.

Values of the data stand in code spans: no site looks for links, mentions or formulas there. Sentences of ours
that quote such values are escaped; a character that would make a mention, a reference, a link or mathematics
of what follows (``@``, ``#1``, ``://``, ``$``) stands in a code span of its own, since sites look for those
after Markdown has been read, where a backslash is gone. No line begins with a value, so none is a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dataaudit.escape import console_line, line
from dataaudit.report import blocks as b
from dataaudit.report import words
from dataaudit.report.blocks import Writer, drawn
from dataaudit.report.common import fitted, leaves

SIZE: Final = 64_000  # bytes; GitHub takes 65,536 characters
ROWS: Final = 20  # of a folded table
FIRST: Final = 10  # rows to look at first
_RUN: Final = re.compile("`+")
_ACTIVE: Final = re.compile(
    r"(?:[@$~]|#(?=\w)|[%!&^](?=\w)|://|(?<=www)\.|(?<=gh)-(?=\d))+", re.IGNORECASE
)  # mentions, mathematics, references, links
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&|]")


def markdown(report: b.Report) -> str:
    """Return the whole document, in as much detail as 64 kB have room for."""
    return fitted(report, SIZE, _markdown)


def _markdown(report: b.Report) -> str:
    parts = [
        f"<!-- {report.mark} -->" if report.mark else "",
        f"## {_inline(report.headline, 300)}",
        " ".join(_inline(sentence) for sentence in report.sentences),
        _inline(report.about),
        *(_section(s) for s in report.in_line(lambda s: s.rank < 2)),  # noqa: PLR2004 - the page's own
        "More is on the page: report.html." if report.short else "",
    ]
    return _joined(parts) + "\n"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _section(section: b.Section) -> str:
    folded = section.folded or section.rank > 0
    body = _blocks(section.blocks, folded=folded)
    if not body:
        return ""
    if folded and section.key not in ("trust", "next"):
        return _details(section.title, body)
    return f"### {_inline(section.title)}\n\n{body}"


def _details(title: str, body: str) -> str:
    shown = _inline(title).replace("\\", "")
    return f"<details><summary>{shown}</summary>\n\n{body}\n\n</details>" if body else ""


def _blocks(blocks: Sequence[b.Block], *, folded: bool = False) -> str:
    return _joined(_block(block, folded=folded) for block in leaves(blocks, "markdown"))


def _block(block: b.Block | b.Card, *, folded: bool) -> str:
    match block:
        case b.Sentence(text, tone):
            return f"**{_inline(text)}**" if tone == "strong" else _inline(text)
        case b.List(items) | b.Lines(items):
            return _bullets(items[:ROWS])
        case b.Table():
            return _table(block, folded=folded)
        case b.Card(title=title, blocks=blocks):
            return f"#### {_inline(title)}\n\n{_blocks(blocks, folded=True)}"
        case b.Facts(pairs):
            return _bullets((f"{name}: ", *b.parts(value)) for name, value in pairs)
        case b.Checks():
            return _checks(block)
        case b.Commands(items):
            return _commands(items)
        case b.Record(cells):
            return _rows(("column", "cell"), [(b.Cell(name), cell) for name, cell in cells])
        case b.Fold(title, blocks):
            return _details(title, _blocks(blocks, folded=True))
        case b.Group(title, blocks):
            return f"**{_inline(title)}**\n\n{body}" if (body := _blocks(blocks, folded=folded)) else ""
    return ""


def _table(table: b.Table, *, folded: bool) -> str:
    """Return a table: of one in sight the first rows, and the next ones folded."""
    first = ROWS if folded else FIRST
    rows = _rows(table.head, table.rows[:first])
    rest = () if folded else table.rows[first : first + ROWS]
    legend = _inline(table.legend) if rows else ""
    return _joined([rows, legend, _details(f"The next {len(rest)}", _rows(table.head, rest))])


def _rows(head: Sequence[b.Inline], rows: Sequence[Sequence[b.Inline]]) -> str:
    if not rows:
        return ""
    lines = [[_inline(name) for name in head], ["---"] * len(head)] if head else []
    lines += [[_inline(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def _checks(checks: b.Checks) -> str:
    """Return the checks that failed, and on a click those that passed."""
    failed = [("**Failed.** ", check.message) for check in checks.items if not check.ok]
    passed = [check.message for check in checks.items if check.ok]
    title = f"{len(passed)} {'check' if len(passed) == 1 else 'checks'} of the audit itself passed"
    shown = "\n".join(f"- {mark}{_inline(text)}" for mark, text in failed)
    return _joined([shown, _details(title, _bullets(passed)) if passed else ""])


def _commands(commands: Sequence[tuple[str, str]]) -> str:
    """Return what to type next; a path to open is of no use where a comment is read."""
    typed = [(purpose, command) for purpose, command in commands if command.startswith("audit ")]
    lines = [text for purpose, command in typed for text in (f"# {line(purpose)}", line(command, 1000))]
    if not lines:
        return ""
    longest = max((len(run) for text in lines for run in _RUN.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}sh", *lines, fence])


def _bullets(items: Iterable[b.Inline]) -> str:
    return "\n".join(f"- {_inline(item)}" for item in items)


def _inline(text: b.Inline, length: int = 600) -> str:
    return "".join(_part(part, length) for part in b.parts(text))


def _part(part: b.Part, length: int) -> str:
    if isinstance(part, b.Cell):
        return _code(part.text, part.length)
    if isinstance(part, str):
        return _prose(part, length)
    shown = _prose(part.text, length)
    return f"**{shown}**" if part.tone == "strong" else shown


def _code(text: str, length: int = 80) -> str:
    """Return a value of the data as a code span in one line."""
    shown = console_line(text, length)  # a log may show it too
    if not shown:
        return words.MISSING
    fence = "`" * (max((len(run) for run in _RUN.findall(shown)), default=0) + 1)
    room = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _prose(text: str, length: int = 600) -> str:
    """Return words of ours in one line, which may quote the data; a space at either end stays."""
    pieces, at, shown = [], 0, console_line(text, length)
    for match in _ACTIVE.finditer(shown):
        pieces += [_MARKUP.sub(r"\\\g<0>", shown[at : match.start()]), f"`{match.group()}`"]
        at = match.end()
    inner = "".join([*pieces, _MARKUP.sub(r"\\\g<0>", shown[at:])])
    start, end = " " * text[:1].isspace(), " " * (text[-1:].isspace() and bool(shown))
    return f"{start}{inner}{end}"


WRITERS: Final = {"markdown": Writer("markdown", ".md", "for a comment on a pull request", drawn(markdown))}
