"""The report of a check: whether the data pass, which rules are broken, and by which rows.

As text it is a line a finding, as linters write it, then a short summary, as pytest does: a line begins with
a path or a word of ours, never with a cell. What SARIF, JUnit and the annotations of GitHub and GitLab say of
an outcome is put into words here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from dataaudit.escape import line
from dataaudit.findings.verdict import Outcome, Site, Verdict, where
from dataaudit.report import blocks as b
from dataaudit.report import verdict as v
from dataaudit.report import words
from dataaudit.report.common import few, following, joined, said
from dataaudit.report.verdict import NAME, Standing

MARK: Final = "dataaudit check"  # by which a bot finds its comment to replace it
ROWS: Final = 10  # findings of a rule in text, unless all are asked for
Judged = tuple[Standing, Outcome]
_LOUD: Final[tuple[Standing, ...]] = ("failed", "error", "warning")
_SIGNS: Final[dict[str, tuple[str, str, b.Tone]]] = {  # in short, what became of the rule, and a tone
    "failed": ("✗ failed", "broken, fails", "against"),
    "error": ("✗ not judged", "not judged", "against"),
    "warning": ("! warning", "broken", "warning"),
    "passed": ("✓ passed", "passed", "for"),
    "skipped": ("– skipped", "does not apply", "quiet"),
    "note": ("", "", "note"),
}
_SEVERITIES: Final = {"failed": "fails the check", "warning": "does not fail the check"}
_FINDINGS: Final = 3_000  # of all rules on the page: more have no room
_EACH: Final = 200  # findings of a rule on the page
_RULES: Final = 60  # broken rules in full
_OUTCOMES: Final = 400
_FACTS: Final = 40  # of a dataset
_DATASETS: Final = 20
_SAVED: Final = 10  # characters of a path from which on a line to explain its short name is worth it


def report(verdict: Verdict, *, full: bool = False) -> b.Report:
    """Lay a verdict out; with `full` the text has all findings, all rules and their documentation."""
    names = tuple(verdict.datasets) or tuple(dict.fromkeys(o.dataset for o in verdict.outcomes))
    shown = joined(b.Cell(name, 60) for name in names[:3])
    shown = (*shown, f" and {len(names) - 3} more") if len(names) > 3 else shown or ("no dataset",)  # noqa: PLR2004
    found = v.standings(verdict)
    loud = sorted((pair for pair in found if pair[0] in _LOUD), key=lambda pair: _LOUD.index(pair[0]))
    explain = f"audit rule {line(loud[0][1].rule.code, 40)}" if loud else ""
    return b.Report(
        kind="check",
        over=("Check of ", *shown),
        name=shown,
        headline=v.headline(verdict),
        sentences=(f"{v.tally(verdict).capitalize()}.", *_file(verdict)),
        about=said(f"Written by dataaudit {line(verdict.version, 40)}.")[0] if verdict.version else "",
        steps=_steps(verdict, loud),
        sections=(*_sections(verdict, found, loud, names), following(("Explain a rule", explain))),
        lines=tuple(_lines(verdict, found, full=full)),
        version=line(verdict.version, NAME),
        mark=MARK,
    )


def _sites(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the files that are pointed to."""
    sites = [f.site for o in outcomes for f in o.findings] + [o.place for o in outcomes]
    return list(dict.fromkeys(site.source for site in sites if site.source))


def _file(verdict: Verdict) -> tuple[b.Inline, ...]:
    """Say once which file rows are of, where there is but one."""
    files = _sites(verdict.outcomes)
    return (("Rows are of ", b.Cell(files[0], 300), "."),) if len(files) == 1 else ()


def _linted_names(verdict: Verdict) -> dict[str, str]:
    """Return what stands for a file of another folder at the beginning of a line, where that is shorter."""
    files = _sites(verdict.outcomes)
    names = words.short_names(files)
    elsewhere = [file for file in files if file.startswith(("/", "../"))]
    short = {file: names[file] or PurePosixPath(file).name for file in elsewhere}
    return {file: name for file, name in short.items() if len(name) + _SAVED <= len(file)}


def _sections(
    verdict: Verdict, found: Sequence[Judged], loud: Sequence[Judged], names: Sequence[str]
) -> Iterator[b.Section]:
    unjudged = [o for standing, o in loud if standing == "error"]
    files = words.short_names(_sites(verdict.outcomes))
    if unjudged:
        checks = b.Checks(tuple(map(_unjudged, unjudged[:_RULES])))
        yield b.Section("Not judged", (b.Only(b.PAGE, (checks,)),), rank=0, key="unjudged")
    if loud:
        broken = [(standing, o) for standing, o in loud if standing != "error"]
        page = (b.Only(b.PAGE, (_cards(broken, files),)),) if broken else ()
        brief: tuple[b.Block, ...] = (
            _overview("Broken rules", loud),
            *(_brief(one, files) for one in loud[:_RULES]),
        )
        yield b.Section("Broken rules", (*page, b.Only(b.MARKDOWN, brief)), rank=0, key="broken")
    quiet = [(standing, o) for standing, o in found if standing not in _LOUD]
    passed = (b.Fold("Rules that passed or do not apply", (_overview("The other rules", quiet),)),)
    every = _outcomes(found) if found else b.Sentence("No rule was checked.")
    rules = (b.Only(b.PAGE, (every,)), b.Only(b.MARKDOWN, passed if quiet else ()))
    yield b.Section("All rules", rules, rank=0, key="rules")
    if names:
        facts = tuple(b.Group(b.Cell(name, NAME), (_facts(verdict, name),)) for name in names[:_DATASETS])
        left = len(names) - _DATASETS
        rest = (b.Sentence(f"… and {few(left, 'more dataset')}.", "quiet"),) if left > 0 else ()
        yield b.Section("Datasets", (*facts, *rest), rank=2, key="datasets")
    if shown := [*verdict.notes, *v.unjudged(verdict)][:_RULES]:
        notes = b.List(tuple(line(note, 600) for note in shown))
        yield b.Section("Notes", (notes,), rank=0, key="notes")


def _cards(broken: Sequence[Judged], files: Mapping[str, str]) -> b.Cards:
    each = min(_EACH, max(_FINDINGS // len(broken), 1))
    return b.Cards(
        items=tuple(_card(number, (s, o), each, files) for number, (s, o) in enumerate(broken[:_RULES], 1)),
        numbered=True,
        total=len(broken),
        rest=("broken rule, in the table below", "broken rules, all in the table below"),
    )


def _outcomes(found: Sequence[Judged]) -> b.Table:
    return b.Table(
        caption="Every rule on every dataset, and how it came out",
        head=("rule", "dataset", "result", "measured", "limit", "in words"),
        rows=tuple(
            (v.title(o), b.Cell(o.dataset, NAME), _SIGNS[s][1], *v.measured(o), v.message(o, length=300))
            for s, o in found[:_OUTCOMES]
        ),
        total=len(found),
        rest=("outcome", "outcomes"),
        style="outcomes",
    )


def _steps(verdict: Verdict, loud: Sequence[Judged]) -> tuple[tuple[str, b.Inline], ...]:
    if not verdict.outcomes:
        return (("Name a dataset.", "Nothing was checked: no rule was selected, or no dataset named."),)
    steps: list[tuple[str, b.Inline]] = []
    if any(standing == "error" for standing, _ in loud):
        steps.append(("See why a rule could not be judged.", "Until then the check fails with exit code 2."))
    broken = [o for standing, o in loud if standing != "error"]
    if broken:
        first = f"Read the findings of {v.title(broken[0])}."
        steps.append((first, "The rules that fail the check come first."))
        accept = "Fix the rows in the data; accept with audit baseline create, later with update."
        steps.append(("Fix what is wrong, accept what is right.", accept))
    return tuple(steps) or (("Nothing needs to be done.", "Every rule that applies is kept."),)


def _unjudged(outcome: Outcome) -> b.Check:
    name = v.title(outcome)
    text = (f"{name} on ", b.Cell(outcome.dataset, NAME), f": {v.message(outcome, length=600)}")
    return b.Check(name, ok=False, message=text)


def _card(number: int, judged: Judged, each: int, files: Mapping[str, str]) -> b.Card:
    standing, outcome = judged
    value, limit = v.measured(outcome)
    base = outcome.base_value
    against = f"; {v.amount(base, outcome.rule.unit)} in the base" if words.known(base) else ""
    also = f"; {v.accepted_or_known(outcome)}" if v.accepted_or_known(outcome) else ""
    facts = f". Measured {value}, where the limit is {limit}{against}{also}."
    name = v.title(outcome)
    doc = (b.Fold("About this rule", (b.Document(outcome.rule.doc),), of=name),) if outcome.rule.doc else ()
    badge = f"{outcome.rule.severity}, {_SEVERITIES[standing]}"
    return b.Card(
        title=line(outcome.rule.title, 600),
        name=f"{name} on {line(outcome.dataset, NAME)}",
        key=f"b{number}",
        number=name,
        badge=b.Words(badge, "against" if standing == "failed" else "quiet"),
        blocks=(
            b.Sentence(v.message(outcome, length=600)),
            b.Sentence(("In ", b.Cell(outcome.dataset, NAME), facts), "quiet"),
            *((_findings(outcome, each, files),) if outcome.findings else ()),
            *doc,
        ),
    )


def _message(outcome: Outcome, length: int) -> str:
    also = v.accepted_or_known(outcome)
    return f"{v.message(outcome, length=length)}{f' ({also})' if also else ''}"


def _findings(outcome: Outcome, most: int, files: Mapping[str, str]) -> b.Table:
    """Return the findings, those that gate first, with the columns that say something."""
    findings = sorted(outcome.findings, key=lambda f: not f.gates)[:most]
    columns: dict[str, list[b.Inline]] = {
        "where": [b.Cell(words.site_name(f.site, files), 300) for f in findings]
    }
    columns["finding"] = [v.finding_text(f, length=600) for f in findings]
    if any(words.known(f.score) for f in findings):
        columns["score"] = [words.short(f.score) for f in findings]
    states = [f"accepted: {f.accepted}" if f.accepted else f.state for f in findings]
    if any(states):
        columns["state"] = [line(state, 600) or words.MISSING for state in states]
    return b.Table(
        caption=f"Findings of {v.title(outcome)} in {line(outcome.dataset, NAME)}, the strongest first",
        head=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        total=outcome.total,
        rest=("finding", "findings"),
        style="said",
    )


def _overview(caption: str, found: Sequence[Judged]) -> b.Table:
    return b.Table(
        caption=caption,
        head=("", "Rule", "Dataset", "Measured", "Limit"),
        rows=tuple(
            (_SIGNS[s][0], v.title(o), b.Cell(o.dataset, NAME), *v.measured(o))
            for s, o in found[: 2 * _RULES]
        ),
        total=len(found),
        rest=("rule", "rules"),
    )


def _brief(judged: Judged, files: Mapping[str, str]) -> b.Group:
    """Return what an outcome says, then its findings, for Markdown."""
    standing, outcome = judged
    shown = v.blocking(outcome)
    total = len(shown) + v.unlisted(outcome, len(shown))
    table = b.Table(
        caption="Findings",
        head=("Where", "Finding"),
        rows=tuple(
            (b.Cell(words.site_name(f.site, files), 300), v.finding_text(f, length=300)) for f in shown
        ),
    )
    in_all = (b.Sentence(f"{few(total, 'finding')} in all."),) if total > ROWS else ()
    name = (f"{_SIGNS[standing][0][0]} {v.title(outcome)}, ", b.Cell(outcome.dataset, NAME))
    text = b.Sentence(f"{_message(outcome, 300)}")
    return b.Group(name, (text, *((table, *in_all) if shown else ())))


def _facts(verdict: Verdict, name: str) -> b.Block:
    facts = verdict.datasets.get(name, {})
    pairs = tuple(
        (line(key.replace("_", " "), NAME), b.Cell(_plain(value), 600))
        for key, value in list(facts.items())[:_FACTS]
        if value not in (None, "", [], ())
    )
    return b.Facts(pairs) if pairs else b.Sentence("Nothing more is known of it.")


def _plain(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return words.count(value)
        case float():
            return words.short(value)
        case list() | tuple():
            return ", ".join(map(_plain, value)) or words.MISSING
    return words.MISSING if value in (None, "") else str(value)


def _lines(verdict: Verdict, found: Sequence[Judged], *, full: bool) -> Iterator[b.Block]:
    """Yield the text: findings, a short summary, notes, and how it all came out."""
    loud = [(standing, outcome) for standing, outcome in found if standing in _LOUD]
    documented: set[str] = set()
    files = _linted_names(verdict)
    short = (
        (b.Words(f"{line(name)} is {line(file, 300)}", "quiet"),) for file, name in files.items() if loud
    )
    yield b.Lines(tuple(short))
    for _, outcome in loud:
        yield from _finding_lines(outcome, files, full=full)
        if full and outcome.rule.code not in documented:
            documented.add(outcome.rule.code)
            yield b.Lines(("", (b.Words(f"    {v.title(outcome)}: {line(outcome.rule.title)}", "strong"),)))
            yield b.Document(outcome.rule.doc)
            yield b.Lines(("",))
    summarised = found if full else loud
    if loud:
        yield b.Lines(("",))
    if summarised:
        yield b.Rule("short summary")
        yield b.Lines(tuple(_summary_line(*pair) for pair in summarised))
    unjudged = () if full else v.unjudged(verdict)
    notes = [b.Words(f"note: {line(note, 400)}", "quiet") for note in (*verdict.notes, *unjudged)]
    if loud:
        code = line(loud[0][1].rule.code, 40)
        notes.append(
            b.Words(f"audit rule {code} explains it; audit baseline accepts what is right.", "quiet")
        )
    yield b.Lines(tuple(notes))
    ending = v.tally(verdict) if loud or not found else f"{v.headline(verdict)}: {v.tally(verdict)}"
    yield b.Rule(ending, "against" if verdict.exit_code else "for")


def _finding_lines(outcome: Outcome, files: Mapping[str, str], *, full: bool) -> Iterator[b.Block]:
    """Yield a line for each finding, or one for the outcome where it has none."""
    findings = v.blocking(outcome)
    shown = findings if full else findings[:ROWS]
    changed = {"changed": " (changed)"}
    places = [where(_moved(site, files)) for site in (outcome.place, *(f.site for f in shown))]
    said = [f"{v.finding_text(f)}{changed.get(f.state, '')}" for f in shown]
    lines = [_linted(place, outcome, text) for place, text in zip(places[1:], said, strict=True)]
    yield b.Lines(tuple(lines or [_linted(places[0], outcome, v.message(outcome))]))
    if shown and (left := v.unlisted(outcome, len(shown))):
        more = f" (--format full lists {len(findings):,})" if len(shown) < len(findings) else ""
        yield b.Document(f"… and {left:,} more of {v.title(outcome)}{more}")


def _moved(site: Site, files: Mapping[str, str]) -> Site:
    return replace(site, source=files.get(site.source, site.source))


def _linted(place: str, outcome: Outcome, text: str) -> b.Inline:
    severity = "error" if outcome.status == "failed" else outcome.rule.severity
    tone = _SIGNS[severity][2]
    code, grave = b.Words(line(outcome.rule.code, 40), tone), b.Words(severity, tone)
    return (b.Cell(place, 300, "strong"), b.Words(": ", "quiet"), code, " [", grave, "] ", text)


def _summary_line(standing: Standing, outcome: Outcome) -> b.Inline:
    name = f"{line(outcome.dataset, NAME)} {v.title(outcome)}"
    word = b.Words(f"{standing.upper():<8}", _SIGNS[standing][2])
    return (word, b.Words(name, "strong"), f": {_message(outcome, 400)}")
