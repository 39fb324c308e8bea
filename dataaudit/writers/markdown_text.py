"""Markdown that hostile cells cannot leave, for comments on GitHub, GitLab and alike.

Values of the data stand in code spans: no site looks for links, mentions or formulas there. Sentences of ours
that quote such values are escaped; a character that would make a mention, a reference, a link or mathematics
of what follows (``@``, ``#1``, ``://``, ``$``) stands in a code span of its own, since sites look for those
after Markdown has been read, where a backslash is gone. No line begins with a value, so none is a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.summary import Command, Trust
from dataaudit.writers.run import agreement, check_lines

SIZE: Final = 64_000  # bytes; GitHub takes 65,536 characters
ROWS: Final = 20  # of a table
FIRST: Final = 10  # rows to look at first
_RUN: Final = re.compile("`+")
_ACTIVE: Final = re.compile(
    r"(?:[@$~]|#(?=\w)|[%!&^](?=\w)|://|(?<=www)\.|(?<=gh)-(?=\d))+", re.IGNORECASE
)  # mentions, mathematics, references, links
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&|]")


@dataclass(frozen=True, slots=True)
class Part:
    """A block of the document; the last ones that may go are left out where all would be too long."""

    text: str
    may_go: bool = False


def document(parts: Iterable[Part]) -> str:
    """Return the parts with blank lines between them, in at most `SIZE` bytes."""
    kept = [part for part in parts if part.text]
    spare = [part for part in kept if part.may_go]
    left_out = False
    while spare and _size(kept) > SIZE:
        kept.remove(spare.pop())
        left_out = True
    if left_out:
        kept.append(Part("More is on the page: report.html."))
    return "\n\n".join(part.text for part in kept) + "\n"


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part.text.encode()) + 2 for part in parts) + 100  # and the sentence that says so


def code(text: str, length: int = 80) -> str:
    """Return a value of the data as a code span in one line."""
    shown = line(text, length)
    if not shown:
        return words.MISSING
    fence = "`" * (max((len(run) for run in _RUN.findall(shown)), default=0) + 1)
    room = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{room}{shown}{room}{fence}"


def prose(text: str, length: int = 600) -> str:
    """Return a sentence of ours in one line, which may quote the data."""
    pieces, at, shown = [], 0, line(text, length)
    for match in _ACTIVE.finditer(shown):
        pieces += [_MARKUP.sub(r"\\\g<0>", shown[at : match.start()]), f"`{match.group()}`"]
        at = match.end()
    return "".join([*pieces, _MARKUP.sub(r"\\\g<0>", shown[at:])])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of at most `ROWS` rows, or nothing without any; cells are code spans or prose."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows[:ROWS]]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def details(title: str, body: str) -> Part:
    """Return a block that opens on a click, or an empty one; it may be left out."""
    if not body:
        return Part("")
    return Part(f"<details><summary>{title}</summary>\n\n{body}\n\n</details>", may_go=True)


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences of ours."""
    return "\n".join(f"- {prose(sentence)}" for sentence in sentences)


def verdict(headline: str, sentences: Iterable[str]) -> list[Part]:
    """Return the answer: a headline, and what it rests on."""
    return [Part(f"## {prose(headline, 300)}"), Part(" ".join(prose(sentence) for sentence in sentences))]


def trust(found: Trust, *, none: str) -> list[Part]:
    """Say how far to trust the audit: refits, checks that failed, and those that passed on a click."""
    lines = check_lines(found.checks)
    failed = "\n".join(f"- **Not in order.** {prose(check.message)}" for check in lines if not check.ok)
    passed = [check.message for check in lines if check.ok]
    title = f"{len(passed)} {'check' if len(passed) == 1 else 'checks'} of the audit itself passed"
    said = prose(agreement(found, none=none))
    return [Part("### How far to trust this"), Part(said), Part(failed), details(title, bullets(passed))]


def following(commands: Sequence[Command]) -> list[Part]:
    """Return what to type next; a path to open is of no use where a comment is read."""
    typed = [command for command in commands if command.command.startswith("audit ")]
    if not typed:
        return []
    lines = [text for one in typed for text in (f"# {line(one.purpose)}", line(one.command, 1000))]
    longest = max((len(run) for text in lines for run in _RUN.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [Part("### Next"), Part("\n".join([f"{fence}sh", *lines, fence]))]


def names(texts: Sequence[str], most: int = 6) -> str:
    """Return some names with commas."""
    return ", ".join([*(code(text, 40) for text in texts[:most]), *(["…"] if len(texts) > most else [])])
