"""A page of Markdown for a pull request's comment or a job's summary: small, and inert whatever cells say.

Cells may hold markup, links, pictures, mentions that would notify people (``@all``) and references (``#1``):
what a renderer would act on is escaped, and where no escape is respected, an empty HTML comment parts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TextIO

from dataaudit.escape import line
from dataaudit.findings.verdict import Finding, Outcome, Verdict, where
from dataaudit.writers.base import Writer
from dataaudit.writers.verdict_places import Surroundings
from dataaudit.writers.verdict_words import (
    NAME,
    Standing,
    dataset,
    gating,
    headline,
    measured,
    quiet,
    said,
    standings,
    tally,
    title,
    told,
    unlisted,
)

SIZE: Final = 60_000  # bytes; GitHub takes 65,536 characters in a comment
MARK: Final = "<!-- dataaudit check -->"  # by which a bot finds its comment to replace it
_SIGNS: Final[dict[Standing, str]] = {
    "failed": "✗ failed",
    "error": "✗ not judged",
    "warning": "! warning",
    "passed": "✓ passed",
    "skipped": "– skipped",
}
_NOTHING: Final = "<!-- -->"
_SPECIAL: Final = re.compile(r"[\\`*_\[\]|~$^]")
_REFERENCE: Final = re.compile(
    r"""([@#!%~$])(?=[\w"'])|(&amp;)(?=[\w"'])|(:)(?=//|:)|(www)(?=\.)""", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much is shown: broken rules, findings in sight and folded of each, characters of a text."""

    rules: int = 50
    rows: int = 20
    folded: int = 80
    text: int = 300


_DETAILS: Final = (  # from all to little; the first that fits is taken
    _Detail(),
    _Detail(folded=20),
    _Detail(rules=30, rows=10, folded=0, text=200),
    _Detail(rules=30, rows=3, folded=0, text=120),
    _Detail(rules=10, rows=1, folded=0, text=60),
    _Detail(rules=3, rows=0, folded=0, text=40),
)


def page(verdict: Verdict) -> str:
    """Return the page, in as much detail as 60 kB have room for.

    Parameters
    ----------
    verdict : Verdict

    Returns
    -------
    str
        Without a newline at its end.
    """
    text = ""
    for detail in _DETAILS:
        text = "\n\n".join(_parts(verdict, detail))
        if len(text.encode()) <= SIZE:
            break
    return text


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the page."""
    out.write(page(verdict) + "\n")


def _parts(verdict: Verdict, detail: _Detail) -> Iterator[str]:
    found = standings(verdict)
    loud = [(s, o) for s, o in found if s in ("failed", "error", "warning")]
    loud.sort(key=lambda pair: ("failed", "error", "warning").index(pair[0]))
    sign = "✗" if verdict.exit_code else "✓"
    yield f"{MARK}\n### {sign} {cell(headline(verdict))}\n\n{tally(verdict)}"
    if loud:
        head = ("", "Rule", "Dataset", "Measured", "Limit")
        yield _table(head, [_row(s, o, detail) for s, o in loud[: detail.rules]])
        if len(loud) > detail.rules:
            yield f"… and {len(loud) - detail.rules:,} more rules."
    for standing, outcome in loud[: detail.rules]:
        yield from _broken(standing, outcome, detail)
    rest = [(s, o) for s, o in found if s in ("passed", "skipped")]
    if rest:
        shown = [_row(s, o, detail) for s, o in rest[: 2 * detail.rules]]
        more = f"\n\n… and {len(rest) - len(shown):,} more." if len(rest) > len(shown) else ""
        yield _folded(
            "Rules that passed or do not apply",
            _table(("", "Rule", "Dataset", "Measured", "Limit"), shown) + more,
        )
    if verdict.notes:
        yield "\n".join(f"- {cell(note, detail.text)}" for note in verdict.notes[: detail.rules])
    code = f"`audit rule {_code(loud[0][1])}` explains a rule. " if loud else ""
    yield f"{code}Written by dataaudit {cell(verdict.version, 40)}.".replace(" .", ".")


def _broken(standing: Standing, outcome: Outcome, detail: _Detail) -> Iterator[str]:
    """Yield what an outcome says, then its findings."""
    name = f"{cell(title(outcome), detail.text)}, {cell(dataset(outcome), detail.text)}"
    besides = f" ({quiet(outcome)})" if quiet(outcome) else ""
    yield f"#### {_SIGNS[standing].split()[0]} {name}\n\n{cell(told(outcome), detail.text)}{besides}"
    findings = gating(outcome)
    shown, folded = findings[: detail.rows], findings[detail.rows : detail.rows + detail.folded]
    if shown:
        yield _findings(shown, detail)
    if folded:
        yield _folded(f"The next {len(folded)}", _findings(folded, detail))
    left = unlisted(outcome, len(shown) + len(folded)) if outcome.status == "broken" else 0
    if left and shown:
        yield f"… and {left:,} more."


def _findings(findings: Sequence[Finding], detail: _Detail) -> str:
    rows = [
        (cell(where(f.site), detail.text), cell(said(f, length=detail.text), detail.text)) for f in findings
    ]
    return _table(("Where", "Finding"), rows)


def _row(standing: Standing, outcome: Outcome, detail: _Detail) -> tuple[str, ...]:
    names = (title(outcome), dataset(outcome), *measured(outcome))
    return _SIGNS[standing], *(cell(name, detail.text) for name in names)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(fields)} |" for fields in lines)


def _folded(summary: str, inner: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n\n{inner}\n\n</details>"


def _code(outcome: Outcome) -> str:
    """Return a rule's code as it may stand between backticks."""
    return re.sub(r"[^\w.-]", "", outcome.rule.code)[:NAME]


def cell(text: str, length: int = 300) -> str:
    """Return text of one line that Markdown shows as it is, also in a table."""
    shown = escape(line(text, length), quote=False)
    return _REFERENCE.sub(_parted, _SPECIAL.sub(r"\\\g<0>", shown))


def _parted(match: re.Match[str]) -> str:
    return match.group() + _NOTHING


WRITER = Writer("markdown", ".md", "a page of Markdown, for a comment or a job’s summary", write)
