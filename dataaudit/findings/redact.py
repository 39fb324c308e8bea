"""Redaction, ``--redact``: which of the user's data leave the machine in reports, exports and logs.

========  ==========================================================================================
none      everything
cells     no value of a cell: no text, level or word, and no sentence made of them. Names of columns,
          classes, rows and files stay
all       none of these either: they become ``class 1``, ``column 2``, ``file 1``, ``#17`` (a row's number,
          from 0, in its file). Numbers stay
========  ==========================================================================================

It is done to the facts, before a report is made of them: a report cannot show what it was not given. Each
text of a table is treated by what its schema says that it holds; sentences are made again of what is left.
The same name gets the same stand-in, so that a report still hangs together. The tables in the user's own
folder stay whole.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args

import polars as pl

from dataaudit.errors import SettingError, closest
from dataaudit.findings import sentences
from dataaudit.findings.record import WITHHELD
from dataaudit.findings.schemas import ESTIMATED, GROUPED, LEARNED, QUANTITIES, Findings, MismatchFindings
from dataaudit.findings.tables import Tables

Level = Literal["none", "cells", "all"]
AnyTables = TypeVar("AnyTables", bound=Tables)

LEVELS: Final[tuple[str, ...]] = get_args(Level)
SETTING: Final = "redact"  # of the provenance, so that a page that is written anew keeps to it
FOLDER: Final = "FOLDER"  # in place of the user's own
VALUE: Final = "(a value)"  # a level or a word; not what stands for a cell, or a page would mark it there
_MISSING: Final = "(missing)"  # our own name of a level, so it tells nothing
_NOTICE: Final[Mapping[str, str]] = {
    "cells": "Cell values, and sentences made of them, are withheld here.",
    "all": "Cell values and the names of rows, classes, columns and files are withheld here.",
}
_QUOTING: Final = ("--where", "--flip", "--without")  # options whose values hold cells
_FORMS: Final[Mapping[str, str]] = {
    "class": "class {}",
    "column": "column {}",
    "file": "file {}",
    "train": "unnumbered {}",  # rows whose number no table has
    "test": "unnumbered {}",
}
_WITHOUT_LEVELS: Final = ("two-sample", "loss", "label", "missing", "duplicate", "conflict")  # of shift
_PARTS_OF_LOSS: Final = ("total", "inputs", "labels")
# Fields of a provenance, and settings, whose words are ours.
_OUR_FACTS: Final = ("version", "ranking", "ranking_reason", "model", "basis", "solver", "solver_reason")
_OUR_SETTINGS: Final = ("basis", "rank", "task", "text_features", "model", "versus", "fitted", SETTING)
_DATA: Final = {"dataset": "the data", "train": "the training rows", "test": "the test rows"}
_FLIP: Final = ("found", "relabel", "rows", "share", "before", "predicted", "measured")  # numbers
_WITHOUT: Final = ("rows", "share", "changes", "p", "p_after", "tests", "before", "after")  # likewise
_VERSUS: Final = ("models", "order_correlation", "shared", "of")


def level_of(findings: Tables) -> Level:
    """Return what the audit was asked to withhold; all of it, where that is not understood."""
    asked = findings.record.settings.get(SETTING, "none")
    return asked if asked in LEVELS else "all"


def remember(findings: AnyTables, level: str) -> AnyTables:
    """Return the findings with a level in their settings, for whoever writes their page."""
    if _checked(level) == level_of(findings):
        return findings
    record = findings.record
    changes = {"provenance": dataclasses.replace(record, settings={**record.settings, SETTING: level})}
    return dataclasses.replace(findings, **changes)


def withheld(findings: Tables) -> str:
    """Return the sentence that says what redacted findings lack; empty for whole ones."""
    return _NOTICE[level_of(findings)] if findings.record.run else ""


def shown_folder(findings: Tables, folder: str) -> str:
    """Return how commands name the folder of findings, which may have been redacted."""
    return FOLDER if folder and findings.record.run and level_of(findings) == "all" else folder


def redact(findings: AnyTables, level: str | None = None) -> AnyTables:
    """Return the findings without what a level withholds, by default the level that the audit was given.

    They are of the same kind, with the same rows in the same order, numbers, and id of the run; of the cells
    only labels are left. With "none" they are the same.
    """
    chosen = level_of(findings) if level is None else _checked(level)
    if chosen == "none":
        return findings
    names = StandIns(findings, chosen)
    record = findings.record
    changes: dict[str, Any] = {table: _table(names, findings, table) for table in findings.SCHEMAS}
    if isinstance(findings, MismatchFindings):
        changes["findings"] = _findings(names, findings, changes["findings"])
    facts: dict[str, Any] = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    facts = {name: _fact(names, name, value) for name, value in facts.items()} | {"run": record.run_id}
    changes["provenance"] = dataclasses.replace(record, **facts)
    return dataclasses.replace(findings, **changes | {"cells": _labels(names, findings)})


def _checked(level: str) -> Level:
    if level in LEVELS:
        return level  # type: ignore[return-value]  # it is one of them
    near = closest(level, LEVELS)
    hint = f"did you mean {near!r}?" if near else f"use one of {', '.join(LEVELS)}"
    raise SettingError(f"--redact is unknown: got {level!r}", hint)


class Names(dict[str, str]):
    """Stand-ins of one kind, numbered in the order in which names are met; `form` has ``{}`` for a number."""

    def __init__(self, form: str, known: Iterable[str] = ()) -> None:
        super().__init__()
        self._form, self._taken = form, set[str]()
        for name in known:
            self[name]

    def __missing__(self, name: str) -> str:
        return self.settle(name, self._form.format(len(self) + 1))

    def settle(self, name: str, wanted: str) -> str:
        """Give a name the stand-in that is wanted, with a number if another name has it; return it."""
        if name not in self:
            free, at = wanted, 2
            while free in self._taken:
                free, at = f"{wanted} ({at})", at + 1
            self[name] = free
            self._taken.add(free)
        return self[name]


class StandIns:
    """What stands for the names of some findings; those with a natural number have it."""

    def __init__(self, findings: Tables, level: Level) -> None:
        record = findings.record
        self.level, self.all = level, level == "all"
        files = [str(o["path"]) for name in ("origins", "test_origins") for o in getattr(record, name, ())]
        columns = [str(role["column"]) for role in record.roles if role["column"] != record.target]
        known = {"class": record.classes, "column": columns, "file": files}
        self._names = {kind: Names(form, known.get(kind, ())) for kind, form in _FORMS.items()}
        self._names["column"].settle(record.target, "label")
        self._levels: dict[str, Names] = {}
        if self.all:
            for part, row_id, wanted in _numbered(findings, list(dict.fromkeys(files))):
                self._names[part].settle(row_id, wanted)

    def __call__(self, kind: str, name: str) -> str:
        """Return what may be shown of the name of a class, column, file, train or test row."""
        return self._names[kind][name] if self.all else name

    def of_level(self, column: str, name: str) -> str:
        """Return a level's number within its column; its brackets say that it is no value."""
        return name if name == _MISSING else self._levels.setdefault(column, Names("(level {})"))[name]


def _numbered(findings: Tables, files: list[str]) -> Iterable[tuple[str, str, str]]:
    """Yield the rows, train or test, whose number in their file the tables have."""
    if isinstance(findings, Findings):
        of = {name: f"file {at} " for at, name in enumerate(files, start=1)} if len(files) > 1 else {}
        for row_id, row, source in findings.labels.select("row_id", "row", "source").iter_rows():
            yield "train", row_id, f"{of.get(source, '')}#{row}"
        return
    for part in ("train", "test"):
        columns = f"{part}_row_id", f"{part}_row"
        for frame in findings.tables().values():
            if set(columns) <= set(frame.columns):
                for row_id, row in frame.select(columns).unique(maintain_order=True).iter_rows():
                    yield part, row_id, f"#{row}"


def _table(names: StandIns, findings: Tables, table: str) -> pl.DataFrame:
    """Return the facts of a table, without what is withheld of its texts."""
    schema, whole = findings.SCHEMAS[table], findings.tables()[table]
    later = [*GROUPED, *ESTIMATED, *QUANTITIES, *LEARNED] if table in findings.OPEN_END else []
    frame = whole.select(*schema.facts, *(name for name in later if name in whole.columns))
    holds = {name: kind for name, kind in {**schema.holds, **LEARNED.holds}.items() if name in frame.columns}
    texts = [(column, kind) for column, kind in holds.items() if kind not in ("own", "words")]
    return frame.with_columns(_column(names, findings, table, frame, text) for text in texts)


def _column(
    names: StandIns, findings: Tables, table: str, frame: pl.DataFrame, text: tuple[str, str]
) -> pl.Series:
    (column, kind), values = text, frame[text[0]]
    stored = _STORED.get((table, column)) if kind == "text" or names.all else None
    if stored:
        made = [stored(names, findings, row) for row in frame.iter_rows(named=True)]
        return pl.Series(column, made, pl.String)
    if kind == "level":
        return pl.Series(column, _levels(names, table, frame, column), values.dtype)
    if kind == "text" or (kind == "named" and names.all):
        return _mapped(values, lambda _: WITHHELD)
    return values if kind == "named" else _mapped(values, lambda name: names(kind, name))


def _mapped(values: pl.Series, shown: Callable[[str], str]) -> pl.Series:
    if values.dtype == pl.String:
        return pl.Series(values.name, [None if v is None else shown(v) for v in values], pl.String)
    lists = [None if some is None else [shown(v) for v in some] for some in values.to_list()]
    return pl.Series(values.name, lists, values.dtype)


def _levels(names: StandIns, table: str, frame: pl.DataFrame, column: str) -> list[Any]:
    """Return levels with a number where they are compared; a word of a row has none to be known by."""
    if table == "findings":
        return [_levels_of(names, row) for row in frame.iter_rows(named=True)]
    if table == "shift":
        return [_shift_level(names, row) for row in frame.iter_rows(named=True)]
    if table in ("slices", "by", "levels", "profiles"):
        pairs = frame[column.replace("level", "column"), column].iter_rows()
        return [names.of_level(of, level) if level is not None else None for of, level in pairs]
    return [None if level is None else VALUE for level in frame[column]]


def _shift_level(names: StandIns, row: Mapping[str, Any]) -> str | None:
    """Return the level of a difference: a class, a part of the loss, or a level of the column."""
    level: str | None = row["level"]
    if level is None or (row["measure"] == "loss" and level in _PARTS_OF_LOSS):
        return level
    return names("class", level) if row["measure"] == "label" else names.of_level(row["column"] or "", level)


def _levels_of(names: StandIns, row: Mapping[str, Any]) -> list[str]:
    """Return the levels of a finding: numbered, where each is of a column of its own."""
    columns, levels = row["columns"], row["levels"]
    if len(columns) == 1:
        return [names.of_level(columns[0], level) for level in levels]
    if len(columns) != len(levels):
        return [VALUE for _ in levels]
    return [names.of_level(of, level) for of, level in zip(columns, levels, strict=True)]


def _difference(names: StandIns, _findings: Tables, row: Mapping[str, Any]) -> str:
    level, column = _shift_level(names, row), row["column"]  # numbered also where the message is kept
    if row["measure"] in _WITHOUT_LEVELS and not names.all:
        return str(row["message"])
    return sentences.difference(row, None if column is None else names("column", column), level)


def _contribution(names: StandIns, _findings: Tables, row: Mapping[str, Any]) -> str:
    column = names("column", row["column"])
    what = f"{column} = {WITHHELD}" if row["level"] is None else f"{VALUE} of {column}"
    return sentences.contribution(what, row["contribution"])


_STORED: Final[Mapping[tuple[str, str], Callable[[StandIns, Any, Mapping[str, Any]], str]]] = {
    ("health", "message"): lambda _names, _findings, row: sentences.check(row),
    ("shift", "message"): _difference,
    ("contributions", "effect"): _contribution,
    ("fixes", "detail"): lambda _names, _findings, row: sentences.fix(row),
}  # sentences that are stored, and what is said instead


def _findings(names: StandIns, findings: MismatchFindings, frame: pl.DataFrame) -> pl.DataFrame:
    """Say again what is found: the name of the slice, a title and what to do."""
    slices, titles = [], []
    for row in findings.findings.iter_rows(named=True):
        columns = [names("column", name) for name in row["columns"]]
        levels = zip(columns, _levels_of(names, row), strict=False)
        slices.append(" and ".join(f"{of} = {level}" for of, level in levels) if row["slice"] else "")
        titles.append(sentences.title(row, columns, slices[-1]))
    return frame.with_columns(
        pl.Series("slice", slices, pl.String),
        pl.Series("title", titles, pl.String),
        pl.Series("advice", list(map(sentences.fix, frame.iter_rows(named=True))), pl.String),
    )


def _labels(names: StandIns, findings: Any) -> pl.DataFrame:
    """Return the labels among the cells of a mismatch."""
    labels: pl.DataFrame = findings.cells.filter(column=findings.record.target)
    if not isinstance(findings, MismatchFindings):
        return labels.head(0)
    return labels.with_columns(
        pl.Series("row_id", [names(part, key) for key, _, _, part in labels.iter_rows()], pl.String),
        _mapped(labels["column"], lambda name: names("column", name)),
        _mapped(labels["cell"], lambda name: names("class", name)),
    )


def _fact(names: StandIns, name: str, value: Any) -> Any:
    """Return what may be shown of a field of a provenance."""
    match name:
        case "command":
            return WITHHELD if names.all else command(value)
        case "target":
            return names("column", value)
        case "classes":
            return tuple(names("class", one) for one in value)
        case "test_row_id":
            return names("test", value)
        case "settings":
            kept = {key: _setting(names, key, one) for key, one in value.items() if key.isidentifier()}
            return kept | {SETTING: names.level}
        case "origins" | "test_origins":
            return tuple(
                {
                    "path": names("file", str(one["path"])),
                    "format": one["format"],
                    "sha256": WITHHELD if names.all else one["sha256"],  # a known file has a known hash
                    "rows": one["rows"],
                }
                for one in value
            )
        case "roles":
            return tuple(
                {"column": names("column", one["column"]), "role": one["role"], "reason": WITHHELD}
                for one in value
            )
        case "notes":  # a note may quote a cell
            some = f"{len(value)} {'note of the audit is' if len(value) == 1 else 'notes of the audit are'}"
            return (f"{some} withheld.",) if value else ()
        case "learned" | "claim":  # counts of rows and probabilities
            return {key: one for key, one in value.items() if _is_number(one)}
        case "leading":  # of the one sentence in their place
            return min(value, 1)
        case "flip":
            numbers = {key: value[key] for key in _FLIP if key in value}
            return {**numbers, "conclusion": WITHHELD, "sentence": sentences.flip(value)} if value else {}
        case "without":
            return _left_out(names, value) if value else {}
        case "trust":  # counts and places
            numbers = {key: one for key, one in value.items() if _is_number(one)}
            return numbers | {"sentence": sentences.trust(numbers)} if "n_others" in numbers else {}
        case "versus":
            return {key: value[key] for key in _VERSUS if key in value}
        case "dataset" | "train" | "test":
            return _DATA[name] if names.all else value
    if isinstance(value, str) and name not in _OUR_FACTS:
        return names("class", value) if name.endswith("label") else WITHHELD
    return value


def _left_out(names: StandIns, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what leaving rows out does, without the condition that they fulfil."""
    predictions = [names("class", one) for one in found.get("predictions", ())]
    kept: dict[str, Any] = {key: found[key] for key in _WITHOUT if key in found}
    kept |= {"condition": WITHHELD, "where": WITHHELD if found.get("where") else None}
    if predictions:
        where, (before, after) = "that fulfil the condition that was asked about", predictions
        said = sentences.without(found, where, before=before, after=after)
        kept |= {"sentence": said, "predictions": predictions}
    return kept


def _is_number(value: Any) -> bool:
    """Whether it is a number, or a list of numbers."""
    return all(map(_is_number, value)) if isinstance(value, list | tuple) else isinstance(value, int | float)


def command(typed: str) -> str:
    """Return a command without what it says of cells; nothing of one that was not typed."""
    try:
        words = shlex.split(typed)
    except ValueError:  # a quote that is not closed
        return WITHHELD
    if not any(word.partition("=")[0] in _QUOTING for word in words):
        return typed
    kept, quoting = [], False
    for word in words:
        option, equals, _ = word.partition("=")
        kept.append(
            WITHHELD if quoting else f"{option}={WITHHELD}" if option in _QUOTING and equals else word
        )
        quoting = not quoting and option in _QUOTING and not equals
    return shlex.join(kept)


def _setting(names: StandIns, name: str, value: Any) -> Any:
    """Return what may be shown of a setting: numbers always, words only where they are ours or allowed."""
    if name in ("where", "flip", "without") and value is not None:
        return WITHHELD
    if not names.all or name in _OUR_SETTINGS:
        return value
    if isinstance(value, Mapping):
        return {key: _setting(names, key, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_setting(names, "", one) for one in value]
    return WITHHELD if isinstance(value, str) else value
