"""The gate from settings to verdict: open the data, make facts, cheap ones first, and judge.

Facts are made only if a rule that is in force looks at them; what takes a model comes last. A fact that
cannot be made fails its rules, data that cannot be read fail the dataset: silence never looks like health.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.data.dataset import Dialect
from dataaudit.data.sql.query import Query, read_text
from dataaudit.errors import AuditError, DataError, MissingColumn, SettingError
from dataaudit.escape import shown
from dataaudit.features.target import Reading
from dataaudit.files import is_file
from dataaudit.findings.tables import PROVENANCE
from dataaudit.findings.verdict import NOT_ASKED, Outcome, Rule, Verdict
from dataaudit.gate.base import base_file, find_base
from dataaudit.gate.baseline import Comparison, Entry, compare, read_baseline
from dataaudit.gate.data import Data, Material, open_data, read_classes
from dataaudit.gate.facts import FactTable, fact_tables
from dataaudit.gate.facts.table import Inapplicable
from dataaudit.gate.judge import RuleCase, check_rule, is_hit, judge, unjudged
from dataaudit.gate.rules import ASK, read_packs
from dataaudit.gate.settings import CheckSettings, DatasetSettings, chosen
from dataaudit.memory import limited
from dataaudit.options import StepCallback, ignore_progress
from dataaudit.secrets import masked_text, public

READING: Final = "reading"  # the table of the rule that fails where data cannot be read
_COSTLY: Final = 2  # cost of a table from which on the base's is made only if there is a finding to compare


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What holds for all datasets."""

    settings: CheckSettings
    rules: tuple[Rule, ...]
    tables: Mapping[str, FactTable]
    accepted: Mapping[str, Entry]
    on_step: StepCallback


def check(settings: CheckSettings, *, on_step: StepCallback = ignore_progress) -> Verdict:
    """Judge datasets by rules."""
    rules, tables = read_packs(settings.packs), fact_tables()
    for rule in rules:
        check_rule(rule, tables)
    today = dt.date.today()  # noqa: DTZ011 - the day where the gate runs decides what has expired
    baseline = read_baseline(settings.baseline, secret=settings.secret) if settings.baseline else None
    accepted = baseline.on(today) if baseline else {}
    run = _Run(settings=settings, rules=rules, tables=tables, accepted=accepted, on_step=on_step)
    in_force = [(dataset, chosen(rules, settings, dataset)) for dataset in settings.datasets]
    with limited(settings.limit):
        judged = [_dataset(run, dataset, mine) for dataset, mine in in_force]
    verdict = Verdict(
        outcomes=tuple(outcome for outcomes, _, _ in judged for outcome in outcomes),
        fail_on=settings.fail_on,
        datasets={one.name: facts for one, (_, facts, _) in zip(settings.datasets, judged, strict=True)},
        notes=tuple(note for _, _, notes in judged for note in notes),
        version=version("dataaudit"),
    )
    if baseline is None:
        return verdict
    whole = replace(verdict, outcomes=tuple(o for o in verdict.outcomes if len(o.findings) == o.total))
    compared = compare(baseline, whole, today=today, hysteresis=settings.hysteresis)
    return replace(verdict, notes=(*verdict.notes, *_stale(compared)))


def _stale(compared: Comparison) -> list[str]:
    """Say which entries of the baseline no longer serve, or accept too much."""
    notes = []
    fixed, expired, unvalued = len(compared.fixed), len(compared.expired), len(compared.unvalued)
    if fixed:
        looks = "entry of the baseline looks" if fixed == 1 else "entries of the baseline look"
        notes.append(f"{fixed:,} {looks} fixed; audit baseline prune removes what is gone.")
    if expired:
        has = "entry of the baseline has" if expired == 1 else "entries of the baseline have"
        notes.append(f"{expired:,} {has} expired, and no longer count{'s' if expired == 1 else ''}.")
    if unvalued:
        of = "entry of the baseline accepts" if unvalued == 1 else "entries of the baseline accept"
        notes.append(
            f"{unvalued:,} {of} any value, however bad; audit baseline update adds the value of today."
        )
    return notes


def _dataset(
    run: _Run, dataset: DatasetSettings, rules: Sequence[Rule]
) -> tuple[list[Outcome], dict[str, Any], list[str]]:
    """Return the outcomes of one dataset, facts about it for a report, and notes."""
    with limited(None), ExitStack() as stack:  # what one dataset takes the next one may take anew
        try:
            run.on_step(f"read {dataset.name}", 0, 0)
            material = _material(run, dataset, stack)
        except SettingError:
            raise  # not the data's fault
        except AuditError as error:
            why = _first_line(error, redact=run.settings.redact != "none")
            return _unread(run, dataset, rules, why), {"paths": list(dataset.names), "read": False}, []
        outcomes = _outcomes(run, material, rules)
        sides = [material.data, material.test, material.base.data if material.base else None]
        notes = [f"{dataset.name}: {note}" for side in sides if side for note in side.notes]
        matched = [f"{dataset.name}: {note}" for note in (material.base_note, *material.match_notes) if note]
        return outcomes, _facts(material), [*notes, *matched]


def _material(run: _Run, dataset: DatasetSettings, stack: ExitStack) -> Material:
    """Open everything that a dataset consists of."""
    settings = run.settings
    make = partial(
        Material,
        seed=settings.seed,
        secret=settings.secret,
        redact=settings.redact != "none",
        on_step=run.on_step,
    )
    folder = Path(dataset.paths[0])
    if len(dataset.paths) == 1 and not dataset.query and is_file(folder / PROVENANCE):
        return make(settings=dataset, data=None, folder=folder)
    source = Query(read_text(dataset.query), dataset.paths[0]) if dataset.query else dataset.paths
    named = _named(dataset)
    data = open_data(
        source,
        label=dataset.label,
        exclude=[name for name in dataset.exclude if name not in dataset.by],
        id_column=dataset.id,
        named=named,
        dialect=Dialect(dataset.encoding, dataset.no_header),
    )
    for column in named:
        data.require(column)
    test = _other_side(dataset.test, dataset) if dataset.test else None
    was, note = _accepted(dataset, stack) if dataset.base else (None, "")
    if dataset.label and (dataset.fold_labels or dataset.no_label):
        labels = data.read([dataset.label]).to_series()
        reading = Reading.of(labels, fold=dataset.fold_labels, none=dataset.no_label)
        as_asked = partial(read_classes, label=dataset.label, reading=reading)
        data, test, was = as_asked(data), test and as_asked(test), was and as_asked(was)
    base = make(settings=_settings_for(was, dataset), data=was, test=test) if was else None
    return make(settings=dataset, data=data, test=test, base=base, base_note=note)


def _accepted(dataset: DatasetSettings, stack: ExitStack) -> tuple[Data | None, str]:
    """Open the base, if there is one, and say what was decided about it."""
    found = find_base(dataset.base, dataset.paths, cwd=Path.cwd())
    if not (found.file or found.blob):
        return None, found.note
    path = stack.enter_context(base_file(found, cwd=Path.cwd()))
    try:
        return _other_side([path], dataset), found.note
    except DataError as error:
        if found.file:
            raise  # whoever names a file can name another; what was committed stays as it is
        note = f"{shown(found.path)} cannot be read ({error.what}): all rows are new."
        return None, f"{found.note} {note}".strip()


def _named(dataset: DatasetSettings) -> list[str]:
    """Return the columns that have a use of their own, besides label and id."""
    own = dataset.weight, dataset.group, dataset.date, *dataset.by
    columns = *own, *dataset.text, *dataset.features, *dataset.categorical
    return [column for column in columns if column]


def _other_side(paths: Sequence[str], dataset: DatasetSettings) -> Data:
    """Open test or accepted data; they may lack columns of the dataset: which ones is for rules to say."""
    named = [*_named(dataset), *filter(None, [dataset.id])]
    dialect = Dialect(dataset.encoding, dataset.no_header)
    try:
        data = open_data(paths, label=dataset.label, named=named, dialect=dialect)
    except MissingColumn:
        data = open_data(paths, label="", named=named, dialect=dialect)
    gone = [name for name in dataset.exclude if name not in dataset.by]
    return replace(data, lazy=data.lazy.drop(gone, strict=False))


def _settings_for(data: Data, dataset: DatasetSettings) -> DatasetSettings:
    """Return the settings for accepted data, without the columns that they lack."""
    there = {role: getattr(dataset, role) for role in ("id", "weight", "group", "date")}
    there = {role: name if name in data.schema else None for role, name in there.items()}
    text, by = (tuple(n for n in names if n in data.schema) for names in (dataset.text, dataset.by))
    label = dataset.label if dataset.label in data.schema else ""
    return replace(dataset, base="", label=label, text=text, by=by, **there)


def _outcomes(run: _Run, material: Material, rules: Sequence[Rule]) -> list[Outcome]:
    """Return an outcome for each rule, by code; the tables are made in the order of their cost."""
    needed = {rule.table for rule in rules}
    outcomes: list[Outcome] = []
    tables = sorted((run.tables[name] for name in needed), key=lambda t: (t.cost, t.name))
    for done, table in enumerate(tables):
        run.on_step(f"check {material.settings.name}", done, len(tables))
        mine = [rule for rule in rules if rule.table == table.name]
        reasons = {rule.code: _inapplicable(rule, table, material) for rule in mine}
        outcomes += [unjudged(r, material.settings, why=reasons[r.code]) for r in mine if reasons[r.code]]
        applicable = [rule for rule in mine if not reasons[rule.code]]
        outcomes += _judged(run, material, table, applicable) if applicable else []
    run.on_step(f"check {material.settings.name}", len(tables), len(tables))
    return sorted(outcomes, key=lambda outcome: outcome.rule.code)


def _inapplicable(rule: Rule, table: FactTable, material: Material) -> str:
    """Say why a rule does not apply to a dataset; nothing if it does."""
    if material.data is None and "fit" not in table.needs:
        return "There are findings of an audit, and no data: name the files to judge this."
    needs = {*table.needs, *rule.needs.split()}
    missing = [need for need in ASK if need in needs and material.lacks(need)]
    if missing[:1] == ["base"] and material.base_note:
        return material.base_note
    return f"{NOT_ASKED}{ASK[missing[0]]}." if missing else ""


def _judged(run: _Run, material: Material, table: FactTable, rules: Sequence[Rule]) -> list[Outcome]:
    """Make one table and judge its rules; the first bears the time that it took."""
    began = time.perf_counter()
    try:
        facts = table.make(material)
        base = None
        is_asked = table.cost < _COSTLY or any(is_hit(rule, facts) for rule in rules)
        if is_asked and material.base and table.scope != "row":
            base = _of_base(table, material.base)
        made = time.perf_counter() - began
        case = RuleCase(
            material=material,
            table=table,
            facts=facts,
            base=base,
            hysteresis=run.settings.hysteresis,
            top=run.settings.top,
            accepted=run.accepted,
        )
        outcomes = [judge(rule, case) for rule in rules]
    except Inapplicable as reason:
        return [unjudged(rule, material.settings, why=str(reason)) for rule in rules]
    except (AuditError, pl.exceptions.PolarsError) as error:
        why = _first_line(error, redact=material.redact)
        if not isinstance(error, AuditError):  # a file that breaks off in the middle
            why = f"The facts could not be made: {why}."
        return [unjudged(rule, material.settings, status="failed", why=why) for rule in rules]
    return [replace(outcomes[0], seconds=outcomes[0].seconds + made), *outcomes[1:]]


def _of_base(table: FactTable, base: Material) -> pl.DataFrame | None:
    """Return the table of accepted data; None where these have nothing to make it of."""
    try:
        return None if any(map(base.lacks, table.needs)) else table.make(base)
    except Inapplicable:
        return None


def _first_line(error: Exception, *, redact: bool) -> str:
    """Return the first line of an error, or its kind alone where it might quote a cell."""
    if redact and not isinstance(error, MissingColumn):
        return f"{type(error).__name__} (withheld: its words may hold cells; without --redact they are shown)"
    return masked_text(str(error).partition("\n")[0])


def _unread(run: _Run, dataset: DatasetSettings, rules: Sequence[Rule], why: str) -> list[Outcome]:
    """Fail the rule that stands for reading, which holds whatever is selected, and skip all others."""
    reading = [rule for rule in run.rules if rule.table == READING]
    others = [rule for rule in rules if rule.table != READING]
    failed = [unjudged(rule, dataset, status="failed", why=why) for rule in reading[:1]]
    skipped = [unjudged(rule, dataset, why="The data could not be read.") for rule in others]
    return sorted([*failed, *skipped], key=lambda outcome: outcome.rule.code)


def _facts(material: Material) -> dict[str, Any]:
    """Return what a report says of a dataset."""
    settings, data = material.settings, material.data
    return {
        "paths": [piece.path for piece in data.pieces] if data else list(settings.names),
        "read": True,
        "rows": data.n if data else None,
        "columns": len(data.schema) if data else None,
        "label": settings.label or None,
        "test": list(map(public, settings.test)),
        "test_rows": material.test.n if material.test else None,
        "base": public(settings.base) or None,
        "base_rows": material.base.rows.n if material.base else None,
    }
