"""The gate from settings to verdict: open the data, make facts, cheap ones first, and judge.

Facts are made only if a rule that is in force looks at them; what takes a model comes last. A fact that
cannot be made fails its rules, data that cannot be read fail the dataset: silence never looks like health.

A verdict that is known already: kept under a hash of everything that it rests on.

That is the bytes of all data, the settings, the rules, the baseline with the day, and this package's code.
An unchanged file then costs the hashing of it, and the verdict is read without Polars. The folder is ours: it
ignores itself in Git, holds at most 64 MB of verdicts, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.data.sql import Query, read_text
from dataaudit.errors import AuditError, MissingColumn, SettingError
from dataaudit.findings.tables import PROVENANCE
from dataaudit.findings.verdict import Outcome, Rule, Site, Status, Verdict, verdict_from, verdict_record
from dataaudit.gate.baseline import compare, read_baseline
from dataaudit.gate.data import Data, Material, open_data
from dataaudit.gate.facts import ASK, FactTable, fact_tables
from dataaudit.gate.git import base_file
from dataaudit.gate.judge import Case, check_rule, is_hit, judge
from dataaudit.gate.rules import packs_digest, read_packs
from dataaudit.gate.settings import CheckSettings, DatasetSettings, chosen
from dataaudit.options import ignore_progress

READING: Final = "reading"  # the table of the rule that fails where data cannot be read
_DEAR: Final = 2  # cost of a table from which on the base's is made only if there is a finding to compare


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What holds for all datasets."""

    settings: CheckSettings
    rules: tuple[Rule, ...]
    tables: Mapping[str, FactTable]
    reasons: Mapping[str, str]
    on_step: Callable[[str, int, int], None]


def check(settings: CheckSettings, *, on_step: Callable[[str, int, int], None] = ignore_progress) -> Verdict:
    """Judge datasets by rules.

    Parameters
    ----------
    settings : CheckSettings
        What is asked. Paths are relative to the working folder.
    on_step : callable (stage, done, total) -> None
        Told of progress.

    Returns
    -------
    Verdict
        One outcome for each dataset and rule in force.

    Raises
    ------
    SettingError
        If a setting, a rule pack or the baseline is not as it should be. What is wrong with data is told by
        outcomes.
    """
    rules, tables = read_packs(settings.packs), fact_tables()
    for rule in rules:
        check_rule(rule, tables)
    today = dt.date.today()  # noqa: DTZ011 - the day where the gate runs decides what has expired
    baseline = read_baseline(settings.baseline, secret=settings.secret) if settings.baseline else None
    reasons = baseline.reasons(today) if baseline else {}
    run = _Run(settings=settings, rules=rules, tables=tables, reasons=reasons, on_step=on_step)
    held = [(dataset, chosen(rules, settings, dataset)) for dataset in settings.datasets]
    outcomes: list[Outcome] = []
    datasets: dict[str, Mapping[str, Any]] = {}
    notes: list[str] = []
    for dataset, mine in held:
        found, datasets[dataset.name], said = _dataset(run, dataset, mine)
        outcomes += found
        notes += said
    verdict = Verdict(
        outcomes=tuple(outcomes),
        fail_on=settings.fail_on,
        datasets=datasets,
        notes=tuple(notes),
        version=version("dataaudit"),
    )
    if baseline is None:
        return verdict
    whole = replace(verdict, outcomes=tuple(o for o in verdict.outcomes if len(o.findings) == o.total))
    compared = compare(baseline, whole, today=today)
    return replace(verdict, notes=(*verdict.notes, *_stale(len(compared.fixed), len(compared.expired))))


def _stale(fixed: int, expired: int) -> list[str]:
    """Say which entries of the baseline no longer serve."""
    notes = []
    if fixed:
        looks = "entry of the baseline looks" if fixed == 1 else "entries of the baseline look"
        notes.append(f"{fixed:,} {looks} fixed; audit baseline prune removes what is gone.")
    if expired:
        has = "entry of the baseline has" if expired == 1 else "entries of the baseline have"
        notes.append(f"{expired:,} {has} expired, and no longer count.")
    return notes


def _dataset(
    run: _Run, dataset: DatasetSettings, rules: Sequence[Rule]
) -> tuple[list[Outcome], dict[str, Any], list[str]]:
    """Return the outcomes of one dataset, facts about it for a report, and notes."""
    with ExitStack() as stack:
        try:
            run.on_step(f"read {dataset.name}", 0, 0)
            material = _material(run, dataset, stack)
        except SettingError:
            raise  # not the data's fault
        except AuditError as error:
            said = _said(error, redact=run.settings.redact != "none")
            return _unread(run, dataset, rules, said), {"paths": list(dataset.paths), "read": False}, []
        outcomes = _outcomes(run, material, rules)
        sides = [material.data, material.test, material.base.data if material.base else None]
        notes = [f"{dataset.name}: {note}" for side in sides if side for note in side.notes]
        return outcomes, _facts(material), notes


def _material(run: _Run, dataset: DatasetSettings, stack: ExitStack) -> Material:
    """Open everything that a dataset consists of."""
    base = None
    test = None
    folder = Path(dataset.paths[0])
    if len(dataset.paths) == 1 and (folder / PROVENANCE).is_file():
        return _bare(run, dataset, folder=folder)
    source: Sequence[str] | Query = dataset.paths
    if dataset.query:
        source = Query(read_text(dataset.query), dataset.paths[0])
    data = open_data(source, label=dataset.label, exclude=dataset.exclude, id_column=dataset.id)
    for column in (dataset.weight, dataset.date, *dataset.text, *dataset.features, *dataset.categorical):
        if column:
            data.require(column)
    if dataset.test:
        test = _beside(dataset.test, dataset)
    if dataset.base:
        path = stack.enter_context(base_file(dataset.base, dataset.paths, cwd=Path.cwd()))
        was = _beside([path], dataset)
        base = _bare(run, _as_far(dataset, was))
        base.data, base.test = was, test
    made = _bare(run, dataset)
    made.data, made.test, made.base = data, test, base
    return made


def _beside(paths: Sequence[str], dataset: DatasetSettings) -> Data:
    """Open data that may lack columns of the dataset: which ones is for rules to say."""
    try:
        data = open_data(paths, label=dataset.label)
    except MissingColumn:
        data = open_data(paths, label="")
    return replace(data, lazy=data.lazy.drop(dataset.exclude, strict=False))


def _as_far(dataset: DatasetSettings, data: Data) -> DatasetSettings:
    """Return the settings for accepted data, without the columns that they lack."""
    label, names = (
        dataset.label if dataset.label in data.schema else "",
        (dataset.id, dataset.weight, dataset.date),
    )
    id_column, weight, date = (name if name in data.schema else None for name in names)
    text = tuple(name for name in dataset.text if name in data.schema)
    return replace(dataset, base="", label=label, id=id_column, weight=weight, date=date, text=text)


def _bare(run: _Run, dataset: DatasetSettings, *, folder: Path | None = None) -> Material:
    settings = run.settings
    return Material(
        settings=dataset,
        data=None,
        folder=folder,
        seed=settings.seed,
        secret=settings.secret,
        redact=settings.redact != "none",
        on_step=run.on_step,
    )


def _outcomes(run: _Run, material: Material, rules: Sequence[Rule]) -> list[Outcome]:
    """Return an outcome for each rule, by code; the tables are made in the order of their cost."""
    needed = {rule.table for rule in rules}
    outcomes: list[Outcome] = []
    tables = sorted((run.tables[name] for name in needed), key=lambda t: (t.cost, t.name))
    for done, table in enumerate(tables):
        run.on_step(f"check {material.settings.name}", done, len(tables))
        mine = [rule for rule in rules if rule.table == table.name]
        lacking = [need for need in ASK if need in table.needs and material.lacks(need)]
        if material.data is None and "fit" not in table.needs:
            said = "There are findings of an audit, and no data: name the files to judge this"
            outcomes += [_told(rule, material.settings, "skipped", f"{said}.") for rule in mine]
        elif lacking:
            said = f"It does not apply: {ASK[lacking[0]]}."
            outcomes += [_told(rule, material.settings, "skipped", said) for rule in mine]
        else:
            outcomes += _judged(run, material, table, mine)
    run.on_step(f"check {material.settings.name}", len(tables), len(tables))
    return sorted(outcomes, key=lambda outcome: outcome.rule.code)


def _judged(run: _Run, material: Material, table: FactTable, rules: Sequence[Rule]) -> list[Outcome]:
    """Make one table and judge its rules; the first bears the time that it took."""
    began = time.perf_counter()
    try:
        facts = table.make(material)
        base = None
        asked = table.cost < _DEAR or any(is_hit(rule, facts) for rule in rules)
        if asked and material.base and table.scope != "row" and not _any_lacking(table, material.base):
            base = table.make(material.base)
        made = time.perf_counter() - began
        case = Case(
            material=material,
            table=table,
            facts=facts,
            base=base,
            hysteresis=run.settings.hysteresis,
            top=run.settings.top,
            reasons=run.reasons,
        )
        outcomes = [judge(rule, case) for rule in rules]
    except AuditError as error:
        said = _said(error, redact=material.redact)
        return [_told(rule, material.settings, "failed", said) for rule in rules]
    except pl.exceptions.PolarsError as error:  # a file that breaks off in the middle
        said = f"The facts could not be made: {_said(error, redact=material.redact)}."
        return [_told(rule, material.settings, "failed", said) for rule in rules]
    return [replace(outcomes[0], seconds=outcomes[0].seconds + made), *outcomes[1:]]


def _any_lacking(table: FactTable, material: Material) -> bool:
    return any(material.lacks(need) for need in table.needs)


def _said(error: Exception, *, redact: bool) -> str:
    """Return the first line of an error, or its kind alone where it might quote a cell: names are none."""
    if redact and not isinstance(error, MissingColumn):
        return f"{type(error).__name__} (withheld: its words may hold cells; without --redact they are told)"
    return str(error).partition("\n")[0]


def _told(rule: Rule, dataset: DatasetSettings, status: Status, message: str) -> Outcome:
    place = Site(source=dataset.paths[0])
    return Outcome(rule=rule, dataset=dataset.name, status=status, message=message, place=place)


def _unread(run: _Run, dataset: DatasetSettings, rules: Sequence[Rule], said: str) -> list[Outcome]:
    """Fail the rule that stands for reading, which holds whatever is selected, and skip all others."""
    reading = [rule for rule in run.rules if rule.table == READING]
    others = [rule for rule in rules if rule.table != READING]
    failed = [_told(rule, dataset, "failed", said) for rule in reading[:1]]
    skipped = [_told(rule, dataset, "skipped", "The data could not be read.") for rule in others]
    return sorted([*failed, *skipped], key=lambda outcome: outcome.rule.code)


def _facts(material: Material) -> dict[str, Any]:
    """Return what a report says of a dataset."""
    settings, data = material.settings, material.data
    return {
        "paths": [piece.path for piece in data.pieces] if data else list(settings.paths),
        "read": True,
        "rows": data.n if data else None,
        "columns": len(data.schema) if data else None,
        "label": settings.label or None,
        "test": list(settings.test),
        "test_rows": material.test.n if material.test else None,
        "base": settings.base or None,
        "base_rows": material.base.rows.n if material.base else None,
    }


BYTES: Final = 64 << 20  # of verdicts, the oldest of which go first
FORMAT: Final = 1
_BLOCK: Final = 1 << 20
_SETTLED: Final = 2_000_000_000  # ns after which a file that was not touched since is taken to be settled
_HASHES: Final = "hashes.json"
_FILES: Final = 10_000  # hashes kept
_MAGIC: Final = frozenset("*?[")


def check_cache(
    settings: CheckSettings, *, on_step: Callable[[str, int, int], None] = ignore_progress
) -> Verdict:
    """Judge datasets by rules, or return what is known of the same data.

    Parameters
    ----------
    settings : CheckSettings
        What is asked; without its `cache` nothing is looked up or kept.
    on_step : callable (stage, done, total) -> None
        Told of progress.

    Returns
    -------
    Verdict
        As of `dataaudit.gate.check.check`, with a note if it was kept.
    """
    folder = Path(settings.cache_folder)
    key = _key(settings, folder) if settings.cache else None
    if key is not None and (known := _read(folder / f"{key}.json")) is not None:
        note = f"Nothing has changed since the last run: the verdict is from {folder.as_posix()}."
        return dataclasses.replace(known, notes=(*known.notes, note))

    verdict = check(settings, on_step=on_step)
    # What could not be read may be there the next time, in a place that is not hashed.
    if key is not None and not any(outcome.status == "failed" for outcome in verdict.outcomes):
        _keep(folder, f"{key}.json", verdict)
    return verdict


def _key(settings: CheckSettings, folder: Path) -> str | None:
    """Return the hash of all that a verdict rests on; None if it cannot be had so."""
    remembered = _remembered(folder)
    files: list[str] = []
    for dataset in settings.datasets:
        mine = _files(dataset)
        if mine is None:
            return None
        files += mine
    try:
        hashes = {name: _hash(Path(name), remembered) for name in dict.fromkeys(files)}
        blobs = {dataset.name: _blob(dataset) for dataset in settings.datasets if dataset.base}
        accepted = Path(settings.baseline).read_bytes() if settings.baseline else b""
    except OSError:
        return None  # the run itself says what is wrong
    _remember(folder, remembered)
    asked = dataclasses.asdict(settings)
    del asked["cache"], asked["cache_folder"]
    asked["secret"] = hashlib.sha256(settings.secret.encode()).hexdigest()
    rest = {
        "format": FORMAT,
        "settings": asked,
        "files": hashes,
        "blobs": blobs,
        "packs": packs_digest(settings.packs),
        "baseline": [hashlib.sha256(accepted).hexdigest(), _today() if accepted else ""],
        "code": _code(),
        "versions": [_version(name) for name in ("dataaudit", "polars", "numpy", "torch", "scipy")],
    }
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=dict).encode()).hexdigest()


def _files(dataset: DatasetSettings) -> list[str] | None:
    """Return all files that a dataset's data are in; None for stdin or a database."""
    if dataset.query:
        return None
    base = [dataset.base] if dataset.base and not _blob(dataset) else []
    found: list[str] = []
    for path in (*dataset.paths, *dataset.test, *base):
        if path == "-":
            return None
        if Path(path).is_file():
            found.append(path)
        elif Path(path).is_dir():
            found += sorted(str(file) for file in Path(path).rglob("*") if file.is_file())
        elif _MAGIC & set(path):
            import glob  # noqa: PLC0415 - few name files by a pattern

            found += sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        else:
            return None
    return found


def _blob(dataset: DatasetSettings) -> str | None:
    """Return Git's hash of a base that is in a revision; None for a file, or if it cannot be had."""
    from dataaudit.gate.git import blob_of  # noqa: PLC0415 - most have no base

    try:
        return blob_of(dataset.base, dataset.paths, cwd=Path.cwd())
    except AuditError:
        return None  # the run itself says what is wrong


def _hash(path: Path, remembered: dict[str, Any]) -> str:
    """Return the SHA-256 of a file; one that has not been touched since it was hashed is not read again.

    As in Git's index, a file that was changed just before it was hashed is not trusted: a second change might
    leave its time as it is.
    """
    status = path.stat()
    mark = [status.st_size, status.st_mtime_ns, status.st_ino]
    name = str(path.absolute())
    known = remembered.get(name)
    if known is not None and known[0] == mark:
        return str(known[1])
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if time.time_ns() - status.st_mtime_ns > _SETTLED:
        remembered[name] = [mark, digest.hexdigest()]
    return digest.hexdigest()


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(folder: Path, hashes: dict[str, Any]) -> None:
    text = json.dumps(dict(list(hashes.items())[-_FILES:]))
    with contextlib.suppress(OSError):
        if hashes and (
            not (folder / _HASHES).is_file() or (folder / _HASHES).read_text(encoding="utf-8") != text
        ):
            _write(folder, _HASHES, text)


def _read(path: Path) -> Verdict | None:
    """Return a verdict that was kept; None if there is none, or it is of no use."""
    try:
        verdict = verdict_from(json.loads(path.read_text(encoding="utf-8")))
        os.utime(path)  # so that what is used stays
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return verdict


def _keep(folder: Path, name: str, verdict: Verdict) -> None:
    """Keep a verdict; a folder that cannot be written to is no reason to fail."""
    with contextlib.suppress(OSError):
        _write(folder, name, json.dumps(verdict_record(verdict), ensure_ascii=False))
        _shrink(folder)


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        part.write_text(text, encoding="utf-8", errors="surrogatepass")
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)


def _shrink(folder: Path) -> None:
    """Delete the verdicts that were not used for longest, until the rest fit."""
    kept = sorted(_verdicts(folder), key=lambda entry: entry[0], reverse=True)
    total = 0
    for _, size, path in kept:
        total += size
        if total > BYTES:
            path.unlink(missing_ok=True)


def _verdicts(folder: Path) -> Iterator[tuple[int, int, Path]]:
    for path in folder.glob("*.json"):
        if path.name != _HASHES:
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path


def _code() -> str:
    """Return a hash of this package's own files: while it is worked on its version stays."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _today() -> str:
    return dt.date.today().isoformat()  # noqa: DTZ011 - the day where the gate runs decides what has expired
