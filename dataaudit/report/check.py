"""The report of a check: whether the data pass, which rules are broken, and by which rows.

As text it is a line a finding, as linters write it, then a short summary, as pytest does: a line begins with
a path or a word of ours, never with a cell. What SARIF, JUnit and the annotations of GitHub and GitLab say of
an outcome is put into words here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dataaudit.escape import line
from dataaudit.findings.verdict import Outcome, Verdict, where
from dataaudit.report import words
from dataaudit.report.blocks import (
    MARKDOWN,
    PAGE,
    Block,
    Card,
    Cards,
    Cell,
    Check,
    Checks,
    Document,
    Facts,
    Fold,
    Group,
    Inline,
    Lines,
    List,
    Only,
    Part,
    Report,
    Rule,
    Section,
    Sentence,
    Table,
    Tone,
    Words,
)
from dataaudit.report.common import few, following, joined, said
from dataaudit.report.verdict import (
    NAME,
    Standing,
    accepted_or_known,
    amount,
    blocking,
    finding_text,
    headline,
    measured,
    message,
    standings,
    tally,
    title,
    unlisted,
)

MARK: Final = "dataaudit check"  # by which a bot finds its comment to replace it
ROWS: Final = 10  # findings of a rule in text, unless all are asked for
_LOUD: Final[tuple[Standing, ...]] = ("failed", "error", "warning")
_SIGNS: Final[dict[Standing, str]] = {
    "failed": "✗ failed",
    "error": "✗ not judged",
    "warning": "! warning",
    "passed": "✓ passed",
    "skipped": "– skipped",
}
_TONES: Final[dict[str, Tone]] = {
    "failed": "against",
    "error": "against",
    "warning": "warning",
    "note": "note",
    "passed": "for",
    "skipped": "quiet",
}
_RESULTS: Final[dict[Standing, str]] = {
    "failed": "broken, fails",
    "error": "not judged",
    "warning": "broken",
    "passed": "passed",
    "skipped": "does not apply",
}
_SEVERITIES: Final = {"failed": "fails the check", "warning": "does not fail the check"}
_FINDINGS: Final = 3_000  # of all rules on the page: more have no room
_EACH: Final = 200  # findings of a rule on the page
_RULES: Final = 60  # broken rules in full
_OUTCOMES: Final = 400
_FACTS: Final = 40  # of a dataset
_DATASETS: Final = 20


def report(verdict: Verdict, *, full: bool = False) -> Report:
    """Lay a verdict out; with `full` the text has all findings, all rules and their documentation."""
    names = tuple(verdict.datasets) or tuple(dict.fromkeys(o.dataset for o in verdict.outcomes))
    shown: tuple[Part, ...] = tuple(_parts(joined(Cell(name, 60) for name in names[:3])))
    shown = (*shown, f" and {len(names) - 3} more") if len(names) > 3 else shown or ("no dataset",)  # noqa: PLR2004
    found = standings(verdict)
    loud = sorted((pair for pair in found if pair[0] in _LOUD), key=lambda pair: _LOUD.index(pair[0]))
    explain = f"audit rule {line(loud[0][1].rule.code, 40)}" if loud else ""
    return Report(
        kind="check",
        over=("Check of ", *shown),
        name=shown,
        headline=headline(verdict),
        sentences=(f"{tally(verdict).capitalize()}.",),
        about=said(f"Written by dataaudit {line(verdict.version, 40)}.")[0] if verdict.version else "",
        steps=_steps(verdict, loud),
        sections=(*_sections(verdict, found, loud, names), following(("Explain a rule", explain))),
        lines=tuple(_lines(verdict, found, full=full)),
        version=line(verdict.version, NAME),
        mark=MARK,
    )


def _parts(text: Inline) -> tuple[Part, ...]:
    return text if isinstance(text, tuple) else (text,)


def _sections(
    verdict: Verdict,
    found: Sequence[tuple[Standing, Outcome]],
    loud: Sequence[tuple[Standing, Outcome]],
    names: Sequence[str],
) -> Iterator[Section]:
    unjudged = [o for standing, o in loud if standing == "error"]
    if unjudged:
        checks = Checks(tuple(Check(title(o), ok=False, message=_unjudged(o)) for o in unjudged[:_RULES]))
        yield Section("Not judged", (Only(PAGE, (checks,)),), rank=0, key="unjudged")
    broken = [(standing, o) for standing, o in loud if standing != "error"]
    if loud:
        each = min(_EACH, max(_FINDINGS // max(len(broken), 1), 1))
        cards = Cards(
            items=tuple(_card(number, s, o, each) for number, (s, o) in enumerate(broken[:_RULES], 1)),
            numbered=True,
            total=len(broken),
            rest=("broken rule, in the table below", "broken rules, all in the table below"),
        )
        brief: tuple[Block, ...] = (
            _overview("Broken rules", loud),
            *(_brief(s, o) for s, o in loud[:_RULES]),
        )
        page = (Only(PAGE, (cards,)),) if broken else ()
        yield Section("Broken rules", (*page, Only(MARKDOWN, brief)), rank=0, key="broken")
    quiet = [(standing, o) for standing, o in found if standing not in _LOUD]
    outcomes = Table(
        caption="Every rule on every dataset, and how it came out",
        head=("rule", "dataset", "result", "measured", "limit", "in words"),
        rows=tuple(
            (title(o), Cell(o.dataset, NAME), _RESULTS[s], *measured(o), message(o, length=300))
            for s, o in found[:_OUTCOMES]
        ),
        total=len(found),
        rest=("outcome", "outcomes"),
        style="outcomes",
    )
    passed: tuple[Block, ...] = (
        Fold("Rules that passed or do not apply", (_overview("The other rules", quiet),)),
    )
    every: Block = outcomes if found else Sentence("No rule was checked.")
    yield Section(
        "All rules", (Only(PAGE, (every,)), Only(MARKDOWN, passed if quiet else ())), rank=0, key="rules"
    )
    if names:
        facts = tuple(Group(Cell(name, NAME), (_facts(verdict, name),)) for name in names[:_DATASETS])
        left = len(names) - _DATASETS
        rest = (Sentence(f"… and {few(left, 'more dataset')}.", "quiet"),) if left > 0 else ()
        yield Section("Datasets", (*facts, *rest), rank=2, key="datasets")
    if verdict.notes:
        yield Section(
            "Notes", (List(tuple(line(note, 600) for note in verdict.notes[:_RULES])),), rank=0, key="notes"
        )


def _steps(verdict: Verdict, loud: Sequence[tuple[Standing, Outcome]]) -> tuple[tuple[str, Inline], ...]:
    if not verdict.outcomes:
        return (("Name a dataset.", "Nothing was checked: no rule was selected, or no dataset named."),)
    steps: list[tuple[str, Inline]] = []
    if any(standing == "error" for standing, _ in loud):
        steps.append(("See why a rule could not be judged.", "Until then the check fails with exit code 2."))
    broken = [o for standing, o in loud if standing != "error"]
    if broken:
        first = f"Read the findings of {title(broken[0])}."
        steps.append((first, "The rules that fail the check come first."))
        accept = "Fix the rows in the data; accept with audit baseline create, later with update."
        steps.append(("Fix what is wrong, accept what is right.", accept))
    return tuple(steps) or (("Nothing needs to be done.", "Every rule that applies is kept."),)


def _unjudged(outcome: Outcome) -> Inline:
    return (f"{title(outcome)} on ", Cell(outcome.dataset, NAME), f": {message(outcome, length=600)}")


def _card(number: int, standing: Standing, outcome: Outcome, each: int) -> Card:
    value, limit = measured(outcome)
    base = outcome.base_value
    against = f"; {amount(base, outcome.rule.unit)} in the base" if words.known(base) else ""
    also = f"; {accepted_or_known(outcome)}" if accepted_or_known(outcome) else ""
    facts = f". Measured {value}, where the limit is {limit}{against}{also}."
    name = title(outcome)
    doc = (Fold("About this rule", (Document(outcome.rule.doc),), of=name),) if outcome.rule.doc else ()
    return Card(
        title=line(outcome.rule.title, 600),
        name=f"{name} on {line(outcome.dataset, NAME)}",
        key=f"b{number}",
        number=name,
        badge=Words(
            f"{outcome.rule.severity}, {_SEVERITIES[standing]}",
            "against" if standing == "failed" else "quiet",
        ),
        blocks=(
            Sentence(message(outcome, length=600)),
            Sentence(("In ", Cell(outcome.dataset, NAME), facts), "quiet"),
            *((_findings(outcome, each),) if outcome.findings else ()),
            *doc,
        ),
    )


def _findings(outcome: Outcome, most: int) -> Table:
    """Return the findings, those that gate first, with the columns that say something."""
    findings = sorted(outcome.findings, key=lambda f: not f.gates)[:most]
    columns: dict[str, list[Inline]] = {"where": [Cell(where(f.site), 300) for f in findings]}
    columns["finding"] = [finding_text(f, length=600) for f in findings]
    if any(words.known(f.score) for f in findings):
        columns["score"] = [words.short(f.score) for f in findings]
    states = [f"accepted: {f.accepted}" if f.accepted else f.state for f in findings]
    if any(states):
        columns["state"] = [line(state, 600) or words.MISSING for state in states]
    return Table(
        caption=f"Findings of {title(outcome)} in {line(outcome.dataset, NAME)}, the strongest first",
        head=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        total=outcome.total,
        rest=("finding", "findings"),
        style="said",
    )


def _overview(caption: str, found: Sequence[tuple[Standing, Outcome]]) -> Table:
    return Table(
        caption=caption,
        head=("", "Rule", "Dataset", "Measured", "Limit"),
        rows=tuple(
            (_SIGNS[s], title(o), Cell(o.dataset, NAME), *measured(o)) for s, o in found[: 2 * _RULES]
        ),
        total=len(found),
        rest=("rule", "rules"),
    )


def _brief(standing: Standing, outcome: Outcome) -> Group:
    """Return what an outcome says, then its findings, for Markdown."""
    also = f" ({accepted_or_known(outcome)})" if accepted_or_known(outcome) else ""
    shown = blocking(outcome)
    total = len(shown) + unlisted(outcome, len(shown))
    table = Table(
        caption="Findings",
        head=("Where", "Finding"),
        rows=tuple((Cell(where(f.site), 300), finding_text(f, length=300)) for f in shown),
    )
    in_all = (Sentence(f"{few(total, 'finding')} in all."),) if total > ROWS else ()
    name = (f"{_SIGNS[standing].split()[0]} {title(outcome)}, ", Cell(outcome.dataset, NAME))
    text = Sentence(f"{message(outcome, length=300)}{also}")
    return Group(name, (text, *((table, *in_all) if shown else ())))


def _facts(verdict: Verdict, name: str) -> Block:
    facts = verdict.datasets.get(name, {})
    pairs = tuple(
        (line(key.replace("_", " "), NAME), Cell(_plain(value), 600))
        for key, value in list(facts.items())[:_FACTS]
        if value not in (None, "", [], ())
    )
    return Facts(pairs) if pairs else Sentence("Nothing more is known of it.")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return words.count(value)
    if isinstance(value, float):
        return words.short(value)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(entry) for entry in value) or words.MISSING
    return words.MISSING if value in (None, "") else str(value)


def _lines(verdict: Verdict, found: Sequence[tuple[Standing, Outcome]], *, full: bool) -> Iterator[Block]:
    """Yield the text: findings, a short summary, notes, and how it all came out."""
    loud = [(standing, outcome) for standing, outcome in found if standing in _LOUD]
    documented: set[str] = set()
    for _, outcome in loud:
        yield from _finding_lines(outcome, full=full)
        if full and outcome.rule.code not in documented:
            documented.add(outcome.rule.code)
            yield Lines(("", (Words(f"    {title(outcome)}: {line(outcome.rule.title)}", "strong"),)))
            yield Document(outcome.rule.doc)
            yield Lines(("",))
    summarised = found if full else loud
    if loud:
        yield Lines(("",))
    if summarised:
        yield Rule("short summary")
        yield Lines(tuple(_summary_line(*pair) for pair in summarised))
    notes = [Words(f"note: {line(note, 400)}", "quiet") for note in verdict.notes]
    if loud:
        code = line(loud[0][1].rule.code, 40)
        notes.append(Words(f"audit rule {code} explains it; audit baseline accepts what is right.", "quiet"))
    yield Lines(tuple(notes))
    ending = tally(verdict) if loud or not found else f"{headline(verdict)}: {tally(verdict)}"
    yield Rule(ending, "against" if verdict.exit_code else "for")


def _finding_lines(outcome: Outcome, *, full: bool) -> Iterator[Block]:
    """Yield a line for each finding, or one for the outcome where it has none."""
    findings = blocking(outcome)
    shown = findings if full else findings[:ROWS]
    changed = {"changed": " (changed)"}
    lines = [_linted(where(f.site), outcome, f"{finding_text(f)}{changed.get(f.state, '')}") for f in shown]
    yield Lines(tuple(lines or [_linted(where(outcome.place), outcome, message(outcome))]))
    if shown and (left := unlisted(outcome, len(shown))):
        more = f" (--format full lists {len(findings):,})" if len(shown) < len(findings) else ""
        yield Document(f"… and {left:,} more of {title(outcome)}{more}")


def _linted(place: str, outcome: Outcome, text: str) -> Inline:
    severity = "error" if outcome.status == "failed" else outcome.rule.severity
    tone = _TONES[severity]
    code, grave = Words(line(outcome.rule.code, 40), tone), Words(severity, tone)
    return (Cell(place, 300, "strong"), Words(": ", "quiet"), code, " [", grave, "] ", text)


def _summary_line(standing: Standing, outcome: Outcome) -> Inline:
    also = f" ({accepted_or_known(outcome)})" if accepted_or_known(outcome) else ""
    name = f"{line(outcome.dataset, NAME)} {title(outcome)}"
    word = Words(f"{standing.upper():<8}", _TONES[standing])
    return (word, Words(name, "strong"), f": {message(outcome, length=400)}{also}")
