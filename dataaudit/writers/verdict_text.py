"""The verdict on a terminal: a line a finding, as linters write it, then a short summary, as pytest does.

A finding is one line where lines are read by programs, and folded with an indent on a terminal. A line begins
with a path or a word of ours, never with a cell, and holds nothing that a CI runner obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Final, TextIO

from rich.console import Console
from rich.text import Text

from dataaudit.escape import block
from dataaudit.escape import console_line as line
from dataaudit.findings.verdict import Finding, Outcome, Verdict, where
from dataaudit.writers.base import Writer
from dataaudit.writers.verdict_places import Surroundings
from dataaudit.writers.verdict_words import (
    Standing,
    dataset,
    gating,
    headline,
    quiet,
    said,
    standings,
    tally,
    title,
    told,
    unlisted,
)

ROWS: Final = 10  # findings of a rule, unless all are asked for
_WIDTH: Final = 80
_INDENT: Final = "    "
_DOC: Final = 20_000  # characters
_STYLES: Final = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_WORDS: Final[dict[Standing, tuple[str, str]]] = {
    "failed": ("FAILED", "bold red"),
    "error": ("ERROR", "bold red"),
    "warning": ("WARNING", "bold yellow"),
    "passed": ("PASSED", "green"),
    "skipped": ("SKIPPED", "dim"),
}

Line = tuple[tuple[str, str], ...]  # texts and their styles


def show(verdict: Verdict, console: Console, *, full: bool = False) -> None:
    """Print the verdict.

    Parameters
    ----------
    verdict : Verdict
    console : rich.console.Console
        Its width, colours and stream are kept; NO_COLOR is Rich's business.
    full : bool
        Also all findings, the documentation of broken rules, and the rules that passed or do not apply.
    """
    if not console.is_terminal:
        _write(_lines(verdict, width=_WIDTH, full=full), console.file)
        return
    width = console.width - len(_INDENT)
    for parts in _lines(verdict, width=min(width, _WIDTH), full=full):
        first, *rest = Text.assemble(*parts).wrap(console, width) or [Text()]
        shown = Text("\n").join([first, *(Text(_INDENT) + folded for folded in rest)])
        console.print(shown, highlight=False, soft_wrap=True)


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write what a terminal would show, without colour, a finding a line."""
    _write(_lines(verdict, width=_WIDTH, full=False), out)


def write_full(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the same with all findings and the documentation of broken rules."""
    _write(_lines(verdict, width=_WIDTH, full=True), out)


def _write(lines: Iterable[Line], out: IO[str]) -> None:
    out.writelines("".join(text for text, _ in parts).rstrip() + "\n" for parts in lines)


def _lines(verdict: Verdict, *, width: int, full: bool) -> Iterator[Line]:
    found = standings(verdict)
    loud = [(s, o) for s, o in found if s in ("failed", "error", "warning")]
    documented: set[str] = set()
    for _, outcome in loud:
        yield from _findings(outcome, full=full)
        if full and outcome.rule.code not in documented:
            documented.add(outcome.rule.code)
            yield from _documentation(outcome)
    if loud:
        yield ()
    summarised = found if full else loud
    if summarised:
        yield ((" short summary ".center(width, "="), "bold"),)
    for standing, outcome in summarised:
        yield _summary(standing, outcome)
    for note in verdict.notes:
        yield ((f"note: {line(note, 400)}", "dim"),)
    if loud:
        code = line(loud[0][1].rule.code, 40)
        yield ((f"audit rule {code} explains it; audit baseline accepts what is right.", "dim"),)
    style = "bold red" if verdict.exit_code else "bold green"
    ending = tally(verdict) if loud or not found else f"{headline(verdict)}: {tally(verdict)}"
    yield ((f" {line(ending)} ".center(width, "="), style),)


def _findings(outcome: Outcome, *, full: bool) -> Iterator[Line]:
    """Yield a line for each finding, or one for the outcome where it has none."""
    findings = gating(outcome)
    shown = findings if full else findings[:ROWS]
    for finding in shown:
        yield _line(where(finding.site), outcome, _said(finding))
    if not shown:
        yield _line(where(outcome.place), outcome, told(outcome))
    left = unlisted(outcome, len(shown)) if shown else 0
    if left:
        more = f" (--format full lists {len(findings):,})" if len(shown) < len(findings) else ""
        yield ((f"{_INDENT}… and {left:,} more of {line(title(outcome))}{more}", "dim"),)


def _line(place: str, outcome: Outcome, message: str) -> Line:
    severity = "error" if outcome.status == "failed" else outcome.rule.severity
    style = _STYLES[severity]
    return (
        (line(place, 300), "bold"),
        (": ", "dim"),
        (line(outcome.rule.code, 40), style),
        (" [", ""),
        (severity, style),
        ("] ", ""),
        (line(message, 1200), ""),
    )


def _said(finding: Finding) -> str:
    return said(finding) + (" (changed)" if finding.state == "changed" else "")


def _summary(standing: Standing, outcome: Outcome) -> Line:
    word, style = _WORDS[standing]
    besides = f" ({quiet(outcome)})" if quiet(outcome) else ""
    name = f"{line(dataset(outcome))} {line(title(outcome))}"
    message = f": {line(told(outcome), 400)}{besides}"
    return ((f"{word:<8}", style), (name, "bold"), (message, ""))


def _documentation(outcome: Outcome) -> Iterator[Line]:
    """Yield the documentation of a rule as it stands in its pack, indented."""
    yield ()
    yield ((f"{_INDENT}{line(title(outcome))}: {line(outcome.rule.title)}", "bold"),)
    for text in block(outcome.rule.doc, _DOC).strip().split("\n"):
        yield ((f"{_INDENT}{_safe(text)}".rstrip(), "dim"),)
    yield ()


def _safe(text: str) -> str:
    """Return a line of documentation with its indent."""
    inner = text.lstrip(" ")
    return text[: len(text) - len(inner)] + line(inner, 2000)


WRITER = Writer("text", ".txt", "a line a finding, and a short summary", write)
