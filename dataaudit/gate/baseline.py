"""The baseline: findings that are known and accepted, each with a reason, in a file that merges well.

An entry names a finding by rule, dataset and fingerprint, never by a line number, so that it goes on holding
wherever the row moves, and for no other row. The file is JSON lines: a header with the schema, the tool and
the settings of the rules, then one entry a finding, sorted, so that a pull request shows what was accepted as
added lines, and two branches seldom touch the same ones.

What a rule measures of a dataset or a column is accepted with its value: a finding that is worse by more than
a tenth is new, and ``prune`` lowers what is accepted to what is still there. An entry without a value, as
files of schema 1 have them, accepts any; ``update`` adds it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from dataaudit.errors import DataError, SettingError, UnreadableFile, suggestion
from dataaudit.escape import shown
from dataaudit.files import write_whole
from dataaudit.findings.verdict import Finding, Outcome, Rule, Verdict
from dataaudit.gate.identity import SCHEME
from dataaudit.gate.settings import HYSTERESIS

SCHEMA: Final = 2  # 1 had no values
_MARK = "dataaudit-baseline"
_JUDGED: Final = ("passed", "broken")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One accepted finding."""

    rule: str
    dataset: str
    fingerprint: str
    reason: str  # why; not empty
    author: str = ""
    date: str = ""  # ``2026-11-24``
    expires: str = ""  # last day on which it is accepted, as `date`; empty for always
    value: float | None = None  # what was accepted, where the rule measures something; None for any


@dataclass(frozen=True, slots=True)
class Baseline:
    """All accepted findings."""

    entries: tuple[Entry, ...] = ()  # sorted; no two of one fingerprint
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # code → limit and severity then
    keyed: str = ""  # what distinguishes the secret from another: `mark`
    version: str = ""  # of dataaudit

    def on(self, day: dt.date) -> dict[str, Entry]:
        """Return fingerprint → entry of those that are in force on a day."""
        return {entry.fingerprint: entry for entry in self.entries if not is_expired(entry, day)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a baseline and a verdict say of each other."""

    new: tuple[tuple[Outcome, Finding], ...]  # not accepted, of broken rules
    fixed: tuple[Entry, ...]  # entries whose finding is gone, of rules that were judged
    expired: tuple[Entry, ...]  # entries that no longer hold, whose finding is still there
    known: int  # findings that are accepted
    worse: Mapping[str, Entry] = field(default_factory=dict)  # fingerprint → entry, of `new` accepted once
    better: tuple[tuple[Entry, float], ...] = ()  # entries in force that accept more than the value of now
    unvalued: tuple[tuple[Entry, float], ...] = ()  # entries in force that accept any value, and the one now


def is_expired(entry: Entry, today: dt.date) -> bool:
    """Return whether an entry no longer holds."""
    return bool(entry.expires) and dt.date.fromisoformat(entry.expires) < today


def value_of(rule: Rule, finding: Finding) -> float | None:
    """Return what is accepted of a finding besides that it is there; None for nothing."""
    return finding.score if rule.column or rule.score else None


def accepts(entry: Entry, value: float | None, rule: Rule, *, hysteresis: float) -> bool:
    """Tell whether a value is no worse than the accepted one, but for a share of it or of the limit."""
    if entry.value is None or value is None:
        return True
    slack = hysteresis * max(abs(entry.value), abs(rule.limit))
    return not is_worse(value, entry.value, rule, slack=slack)


def is_worse(value: float, than: float, rule: Rule, *, slack: float = 0.0) -> bool:
    """Tell whether one value of a rule is worse than another by more than a slack."""
    return (than - value if rule.score.startswith("-") else value - than) > slack


def compare(
    baseline: Baseline, verdict: Verdict, *, today: dt.date, hysteresis: float = HYSTERESIS
) -> Comparison:
    """Return what is new, fixed and expired; what is worse than was accepted is new."""
    present = {f.fingerprint: (o, f) for o in verdict.outcomes for f in o.findings}
    judged = {(o.rule.code, o.dataset) for o in verdict.outcomes if o.status in _JUDGED}
    gone = (e for e in baseline.entries if e.fingerprint not in present)
    there = [e for e in baseline.entries if e.fingerprint in present]
    broken = ((o, f) for o, f in present.values() if o.status == "broken" and f.state != "known")
    held, worse, better, unvalued = 0, {}, [], []
    for name, entry in baseline.on(today).items():
        if name in present:
            outcome, finding = present[name]
            value, rule = value_of(outcome.rule, finding), outcome.rule
            if accepts(entry, value, rule, hysteresis=hysteresis):
                held += 1
            else:
                worse[name] = entry
            if value is not None and entry.value is None:
                unvalued.append((entry, value))
            elif value is not None and entry.value is not None and is_worse(entry.value, value, rule):
                better.append((entry, value))
    in_force = baseline.on(today).keys() - worse.keys()
    return Comparison(
        new=tuple((o, f) for o, f in broken if f.fingerprint not in in_force),
        fixed=tuple(e for e in gone if (e.rule, e.dataset) in judged),
        expired=tuple(e for e in there if is_expired(e, today)),
        known=held,
        worse=worse,
        better=tuple(better),
        unvalued=tuple(unvalued),
    )


def grown(
    baseline: Baseline, verdict: Verdict, *, like: Entry, today: dt.date, hysteresis: float = HYSTERESIS
) -> Baseline:
    """Return a baseline that accepts everything for which a verdict is broken, each at its value."""
    entries = {entry.fingerprint: entry for entry in baseline.entries}
    rules = dict(baseline.rules)
    compared = compare(baseline, verdict, today=today, hysteresis=hysteresis)
    for entry, now in compared.unvalued:
        entries[entry.fingerprint] = replace(entry, value=now)
    for outcome, finding in compared.new:
        code, name, value = outcome.rule.code, finding.fingerprint, value_of(outcome.rule, finding)
        entries[name] = replace(like, rule=code, dataset=outcome.dataset, fingerprint=name, value=value)
        rules[code] = {"limit": outcome.rule.limit, "severity": outcome.rule.severity}
    return Baseline(tuple(sorted(entries.values())), rules, baseline.keyed, verdict.version)


def pruned(
    baseline: Baseline, gone: Iterable[Entry], *, better: Iterable[tuple[Entry, float]] = ()
) -> Baseline:
    """Return a baseline without some of its entries, and with less accepted in others; it only shrinks."""
    left_out, values = set(gone), dict(better)
    kept = (entry for entry in baseline.entries if entry not in left_out)
    return replace(baseline, entries=tuple(replace(e, value=values.get(e, e.value)) for e in kept))


def read_baseline(path: str | Path, *, secret: str = "") -> Baseline:
    """Read a baseline."""
    name = shown(Path(path).as_posix())
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        hint = "write it with: audit baseline create"
        raise UnreadableFile(f"there is no baseline {name}", hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"the baseline {name} cannot be read: {error}", "restore it from Git") from error
    header = _object(lines[0], f"{name}:1")
    _check_header(header, name, secret)
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            entry = _entry(_object(line, f"{name}:{number}"), f"{name}:{number}")
            entries.setdefault(entry.fingerprint, entry)  # a merge of two branches may have an entry twice
    accepted = tuple(sorted(entries.values()))
    return Baseline(accepted, header.get("rules", {}), header["keyed"], header["version"])


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        made = json.loads(line)
    except ValueError:
        made = None
    if not isinstance(made, dict):
        is_merge = line.startswith(("<<<<<<<", "=======", ">>>>>>>"))
        hint = "resolve the merge: keep the lines of both sides" if is_merge else "restore the file from Git"
        raise UnreadableFile(f"{where} is not an entry: got {shown(line[:80])!r}", hint)
    return made


def _check_header(header: Mapping[str, Any], where: str, secret: str) -> None:
    if not isinstance(header.get(_MARK), int):
        raise UnreadableFile(f"{where} is not a baseline", "write one with: audit baseline create")
    if header[_MARK] > SCHEMA or header.get("identity", SCHEME) > SCHEME:
        by = shown(str(header.get("version", "")))
        raise SettingError(f"{where} was written by dataaudit {by}, which is newer", "update dataaudit")
    if header.get("identity") != SCHEME:
        what = f"{where} names rows in a way that is no longer used"
        raise SettingError(what, "audit baseline create --force")
    if header.get("keyed", "") != mark(secret):
        hint = "set DATAAUDIT_BASELINE_KEY to the key of those who wrote it"
        if not header.get("keyed"):
            hint = "unset DATAAUDIT_BASELINE_KEY, or write it again: audit baseline create --force"
        raise SettingError(f"{where} was written with another key", hint)


def _entry(line: Mapping[str, Any], where: str) -> Entry:
    names = [f.name for f in fields(Entry)]
    for key in line:
        if key not in names:
            hint = suggestion(key, names, f"it has {', '.join(names)}")
            raise DataError(f"{where}: an entry has no {shown(key)!r}", hint)
    for name in ("rule", "dataset", "fingerprint", "reason"):
        if not line.get(name):
            raise DataError(f"{where}: the entry has no {name}", f'write "{name}": "…"')
    texts = {key: value for key, value in line.items() if key != "value"}
    if not all(isinstance(value, str) for value in texts.values()):
        raise DataError(f"{where}: what an entry says is text", "put it in quotes")
    value = line.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DataError(f"{where}: the value of an entry is a number", "write e.g. 0.04")
    day(str(line.get("expires", "")), where=where)
    return Entry(**line)


def day(text: str, *, where: str) -> str:
    """Return a day as it is written, ``2026-11-24``; empty for none."""
    try:
        return dt.date.fromisoformat(text).isoformat() if text else ""
    except ValueError as error:
        raise SettingError(f"{where}: {shown(text)!r} is no day", "write e.g. 2027-01-31") from error


def write_baseline(path: str | Path, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all."""
    codes = sorted({entry.rule for entry in baseline.entries} & baseline.rules.keys())
    header = {
        _MARK: SCHEMA,
        "identity": SCHEME,
        "version": baseline.version,
        "keyed": baseline.keyed,
        "rules": {code: dict(baseline.rules[code]) for code in codes},
    }
    entries = (
        {key: value for key, value in asdict(entry).items() if value not in ("", None)}
        for entry in baseline.entries
    )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *entries))
    write_whole(Path(path), text, hint="name another file with --baseline")


def mark(secret: str) -> str:
    """Return what distinguishes one secret from another; empty for none."""
    key = blake2b(secret.encode(), digest_size=32).digest()
    return blake2b(_MARK.encode(), key=key, digest_size=4).hexdigest() if secret else ""
