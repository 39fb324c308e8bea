"""GitHub's annotations: workflow commands on stdout, which the runner shows next to the lines they name.

The runner shows ten of each level a step and drops the rest without a word; so the first says what is broken
as a whole, the strongest findings follow, and the last says how many more there are. The job summary is a
page of Markdown with them (`append_summary`); above 1 MiB GitHub drops it without failing the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, TextIO

from dataaudit.errors import WriteError
from dataaudit.escape import console_line, line
from dataaudit.findings.verdict import SEVERITIES, Outcome, Place, Verdict
from dataaudit.report import shown_verdict
from dataaudit.report.verdict import (
    NAME,
    blocking,
    finding_text,
    headline,
    message,
    single,
    tally,
    title,
    unlisted,
)
from dataaudit.writers.base import Writer
from dataaudit.writers.markdown import markdown
from dataaudit.writers.places import Places, Surroundings

ANNOTATIONS: Final = 10  # of one level that GitHub shows of a step
_LEVELS: Final = {"error": "error", "warning": "warning", "note": "notice"}  # GitHub's words


@dataclass(frozen=True, slots=True)
class _Annotation:
    """What is said at a place."""

    level: str
    title: str
    message: str
    place: Place


def write(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write at most ten commands of each level, then a line for people."""
    places = Places(verdict, around)
    for severity in SEVERITIES:
        outcomes = [o for o in verdict.outcomes if _severity(o) == severity]
        annotations = [
            a for row in zip_longest(*(_annotations(o, places) for o in outcomes)) for a in row if a
        ]
        last = _last(outcomes, annotations, places)
        room = ANNOTATIONS - len(last)
        out.writelines(_command(annotation) + "\n" for annotation in [*annotations[:room], *last])
    out.write(console_line(f"dataaudit: {headline(verdict)} ({tally(verdict)})", 400) + "\n")


def append_summary(verdict: Verdict, around: Surroundings) -> Path | None:
    """Append the page of Markdown to the job summary, if there is one."""
    if not around.job_summary:
        return None
    path = Path(around.job_summary)
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(markdown(shown_verdict(verdict)))
    except OSError as error:
        what = f"the job summary cannot be written to {path.as_posix()}: {error.strerror or error}"
        raise WriteError(what, "unset GITHUB_STEP_SUMMARY to do without") from error
    return path


def _severity(outcome: Outcome) -> str:
    """Return the severity of a rule that is broken, or an error for one that could not be judged."""
    return {"broken": outcome.rule.severity, "failed": "error"}.get(outcome.status, "")


def _annotations(outcome: Outcome, places: Places) -> Iterator[_Annotation]:
    """Yield what the rule says as a whole, then its findings; no more than would be shown."""
    level = _LEVELS[_severity(outcome)]
    findings = blocking(outcome)
    if not single(outcome):
        whole = f"{line(outcome.dataset, NAME)}: {message(outcome)}"
        yield _Annotation(level, title(outcome), whole, places.of(outcome))
    for finding in findings[:ANNOTATIONS]:
        place = places.of(outcome, finding)
        yield _Annotation(level, title(outcome), finding_text(finding, place), place)


def _last(outcomes: Sequence[Outcome], shown: Sequence[_Annotation], places: Places) -> list[_Annotation]:
    """Return an annotation that counts those that have no room; none where all have."""
    every = sum(not single(o) for o in outcomes) + sum(
        unlisted(o, 0) for o in outcomes if o.status == "broken"
    )
    if every <= ANNOTATIONS and len(shown) <= ANNOTATIONS:
        return []
    more = f"… and {every - min(len(shown), ANNOTATIONS - 1):,} more; the job summary has a table of them."
    return [_Annotation(shown[0].level, "dataaudit", more, places.of(outcomes[0]))]


def _command(annotation: _Annotation) -> str:
    place = annotation.place
    values = {
        "file": place.path,
        "line": str(place.line),
        "endLine": str(place.line),
        "title": annotation.title,
    }
    listed = ",".join(f"{name}={_property(value)}" for name, value in values.items())
    return f"::{annotation.level} {listed}::{_data(annotation.message)}"


def _data(text: str) -> str:
    """Escape a message as the runner reads it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property's value as the runner reads it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


WRITER = Writer("github", ".txt", "GitHub’s annotations", write)
