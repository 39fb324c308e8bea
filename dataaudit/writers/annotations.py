"""What services and editors show next to lines: GitHub's annotations, GitLab's report, a line a finding.

GitHub's are workflow commands on stdout. The runner shows ten of each level a step and drops the rest without
a word; so the first says what is broken as a whole, the strongest findings follow, and the last says how many
more there are. The job summary is a page of Markdown with them (`append_summary`); above 1 MiB GitHub drops
it without failing the job.

GitLab's widget does not show the name of a check, so the description begins with it. It shows findings of
equal fingerprint as one, and compares them with those of the target branch: hence what stands for a row is
its content, not its number.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final, TextIO

from dataaudit.errors import WriteError
from dataaudit.escape import console_line, json_text, line
from dataaudit.findings.verdict import SEVERITIES, Outcome, Place, Verdict
from dataaudit.report import shown_verdict
from dataaudit.report.blocks import Writer
from dataaudit.report.verdict import (
    NAME,
    blocking,
    headline,
    is_unjudged,
    reported,
    single,
    tally,
    title,
    unjudged,
    unlisted,
)
from dataaudit.writers.markdown import markdown
from dataaudit.writers.places import Places, Surroundings

ANNOTATIONS: Final = 10  # of one level that GitHub shows of a step
_LEVELS: Final = {"error": "error", "warning": "warning", "note": "notice"}  # GitHub's words
_SEVERITIES: Final = {"error": "major", "warning": "minor", "note": "info"}  # GitLab's words


def write_lines(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write ``path:line:column: level CODE message``, which editors and problem matchers read."""
    places = Places(verdict, around)
    for outcome in verdict.outcomes:
        severity, code = _severity(outcome), console_line(outcome.rule.code, NAME)
        for place, text, _ in places.said(outcome, blocking(outcome)) if severity else ():
            path = console_line(place.path, 1000).replace(":", "%3A")
            out.write(f"{path}:{place.line}:1: {severity} {code} {console_line(text, 400)}\n")


def write_commands(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write at most ten commands of each level, then a line for people."""
    places = Places(verdict, around)
    for severity in SEVERITIES:
        outcomes = [o for o in verdict.outcomes if _severity(o) == severity]
        rows = zip_longest(*(_commands(o, places) for o in outcomes))
        commands = [command for row in rows for command in row if command]
        every = sum(not single(o) for o in outcomes)
        every += sum(unlisted(o, 0) for o in outcomes if o.status == "broken")
        last = []
        if max(every, len(commands)) > ANNOTATIONS:
            left = every - min(len(commands), ANNOTATIONS - 1)
            more = f"… and {left:,} more; the job summary has a table of them."
            last = [_command(severity, "dataaudit", more, places.of(outcomes[0]))]
        out.writelines([*commands[: ANNOTATIONS - len(last)], *last])
    out.writelines(console_line(f"dataaudit: {said}", 400) + "\n" for said in unjudged(verdict))
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
        raise _unwritten(around.job_summary, error) from error
    return path


def require_summary(path: str) -> None:
    """Try to open the job summary, if there is one, before the work begins."""
    try:
        if path:
            Path(path).open("a", encoding="utf-8").close()
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: str, error: OSError) -> WriteError:
    what = f"the job summary cannot be written to {Path(path).as_posix()}: {error.strerror or error}"
    return WriteError(what, "unset GITHUB_STEP_SUMMARY to do without")


def _severity(outcome: Outcome) -> str:
    """Return the severity of a rule that is broken, or an error for one that could not be judged."""
    return {"broken": outcome.rule.severity, "failed": "error"}.get(outcome.status, "")


def _commands(outcome: Outcome, places: Places) -> Iterator[str]:
    """Yield what the rule says as a whole, then its findings; no more than would be shown."""
    for place, text, _ in places.said(outcome, islice(blocking(outcome), ANNOTATIONS)):
        yield _command(_severity(outcome), title(outcome), text, place)


def _command(severity: str, name: str, text: str, place: Place) -> str:
    at = str(place.line)
    values = {"file": place.path, "line": at, "endLine": at, "title": name}
    listed = ",".join(f"{key}={_property(value)}" for key, value in values.items())
    return f"::{_LEVELS[severity]} {listed}::{_data(text)}\n"


def _data(text: str) -> str:
    """Escape a message as the runner reads it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property's value as the runner reads it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def write_quality(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write the array; an empty one where nothing was found, so that old findings count as fixed."""
    places = Places(verdict, around)
    entries = [entry for outcome in verdict.outcomes for entry in _entries(outcome, places, cap=around.cap)]
    seen: Counter[str] = Counter()
    for entry in entries:
        key = entry["fingerprint"]
        seen[key] += 1
        if seen[key] > 1:
            entry["fingerprint"] = _hash(f"{key}\x1f{seen[key]}")
    out.write(json_text(json.dumps(entries, ensure_ascii=False, allow_nan=False, indent=1)) + "\n")


def _entries(outcome: Outcome, places: Places, *, cap: int) -> Iterator[dict[str, Any]]:
    """Yield what the rule says as a whole, if it is broken, and its findings."""
    rule = outcome.rule
    for place, text, finding in places.said(outcome, reported(outcome, accepted=False)[:cap]):
        if finding or outcome.status in ("failed", "broken") or is_unjudged(outcome):
            whole = f"{rule.code}\x1f{outcome.dataset}\x1f{outcome.status}"
            yield {
                "description": f"{title(outcome)}: {text}",
                "check_name": line(rule.code, NAME),
                "fingerprint": finding.fingerprint if finding else _hash(whole),
                "severity": {"failed": "blocker", "skipped": "info"}.get(
                    outcome.status, _SEVERITIES[rule.severity]
                ),
                "location": {"path": place.path, "lines": {"begin": place.line}},
            }


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


WRITERS: Final = {
    "concise": Writer("concise", ".txt", "a line a finding with its place, for editors", write_lines),
    "github": Writer("github", ".txt", "GitHub’s annotations", write_commands),
    "gitlab": Writer("gitlab", ".json", "GitLab’s code quality report", write_quality),
}
