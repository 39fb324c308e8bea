"""What is asked of the gate: which data, held to which rules, how strictly.

The command line and the configuration file fill in the same values; nothing here reads a file.

Which rules hold for a dataset, with the limits and severities in force.

Every key of the configuration, once: its type, its place in the settings, and what it says.

Reading, ``audit config show``, the environment variables and the JSON schema are all made from `FIELDS` and
`DATASET_FIELDS`. A key is its attribute with hyphens, ``fail_on`` → ``fail-on``, unless `attribute` names it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeVar, get_args

from dataaudit.errors import SettingError, closest
from dataaudit.findings.verdict import SEVERITIES, Rule, Severity

HYSTERESIS: Final = 0.1  # of a limit: how much worse than the base a number must be to gate
Redact = Literal["none", "cells"]
REDACT: Final[tuple[str, ...]] = get_args(Redact)
SHOWN: Final = 500  # findings kept for each rule
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\:]+")  # of a dataset: it becomes part of file names and identities


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSettings:
    """One dataset, and what to hold it to beyond what holds for all.

    Attributes
    ----------
    name : str
        Its identity over time: accepted findings and fingerprints go by it. No slash, no colon.
    paths : tuple of str
        Files, globs or folders as `sources.load` takes them, or one folder of findings of an audit.
    label : str
        Label column; empty for a table without one.
    text, features, exclude, categorical : tuple of str
        Columns, as for ``audit labels``; of `exclude` nothing is looked at.
    id, weight, date : str or None
        Columns that name the rows, weigh them, and say when a row was observed.
    test : tuple of str
        Rows held out, as `paths`; empty for none.
    base : str
        The data as they were accepted: a path, or ``REVISION:PATH`` of the repository; empty for none.
    query : str
        SQL whose result is the data, where `paths` names one database; empty for files.
    select, ignore : tuple of str
        Codes or their beginnings, as of `CheckSettings`; an empty `select` leaves the choice to those.
    limits : mapping
        Code → limit in place of the pack's.
    severity : mapping
        Code → severity in place of the pack's.
    declared, declared_line : str, int or None
        The text file that declares this dataset, and the line there: where a finding points to whose data
        have no lines.
    """

    name: str
    paths: tuple[str, ...]
    label: str = ""
    text: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    id: str | None = None
    weight: str | None = None
    date: str | None = None
    test: tuple[str, ...] = ()
    base: str = ""
    query: str = ""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    severity: Mapping[str, Severity] = field(default_factory=dict)
    declared: str = ""
    declared_line: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SettingError(f"a dataset cannot be called {self.name!r}", "use letters, digits, - and _")
        if not self.paths:
            raise SettingError(f"dataset {self.name!r} names no file", "give it a path")
        for column, role in ((self.id, "id"), (self.weight, "weight"), (self.date, "date")):
            if column and column == self.label:
                raise SettingError(f"column {column!r} is both the label and the {role}", "name two columns")
        _check_values(self.limits, self.severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """A run of the gate.

    Attributes
    ----------
    datasets : tuple of DatasetSettings
        In the order to report them; names are unique.
    select, ignore : tuple of str
        Codes or their beginnings: ``DA1`` is all of ``DA1xx``. What is ignored wins; an empty `select` means
        all rules that are stable.
    limits, severity : mapping
        For all datasets.
    packs : tuple of str
        Files with rules of one's own.
    fail_on : {"error", "warning", "note"}
        The least severity that fails.
    baseline : str
        File of accepted findings; empty for none, ``auto`` for the usual one if it is there.
    hysteresis : float
        Share of a limit by which a number must be above the base's to gate.
    secret : str
        Key of the hashes of rows.
    redact : {"none", "cells"}
        Whether a verdict is told without cells of the data; names of columns, classes, rows and files stay.
    top : int
        Findings kept for each rule.
    seed : int
        Of everything random.
    cache : bool
        Whether results may be taken from, and kept in, `cache_folder`.
    cache_folder : str
        Made when it is needed.
    """

    datasets: tuple[DatasetSettings, ...]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    severity: Mapping[str, Severity] = field(default_factory=dict)
    packs: tuple[str, ...] = ()
    fail_on: Severity = "error"
    baseline: str = ""
    hysteresis: float = HYSTERESIS
    secret: str = ""
    redact: Redact = "none"
    top: int = SHOWN
    seed: int = 0
    cache: bool = True
    cache_folder: str = ".dataaudit-cache"

    def __post_init__(self) -> None:
        names = [dataset.name for dataset in self.datasets]
        for name in names:
            if names.count(name) > 1:
                raise SettingError(f"{names.count(name)} datasets are called {name!r}", "rename one of them")
        if self.fail_on not in SEVERITIES:
            raise SettingError(
                f"there is no severity {self.fail_on!r}", f"use one of {', '.join(SEVERITIES)}"
            )
        if self.redact not in REDACT:
            raise SettingError(f"redact is unknown: got {self.redact!r}", f"use one of {', '.join(REDACT)}")
        if not 0 <= self.hysteresis < math.inf:
            raise SettingError(f"hysteresis must be 0 or more: got {self.hysteresis:g}", "0.1 is a tenth")
        _check_values(self.limits, self.severity)


def _check_values(limits: Mapping[str, float], severity: Mapping[str, str]) -> None:
    for code, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
            raise SettingError(f"the limit of {code} is no number: got {limit!r}", "write e.g. 0.05")
    for code, value in severity.items():
        if value not in SEVERITIES:
            close = closest(str(value), SEVERITIES)
            hint = f"did you mean {close!r}?" if close else f"use one of {', '.join(SEVERITIES)}"
            raise SettingError(f"{code} has no severity {value!r}", hint)


Value = TypeVar("Value")


def chosen(rules: Sequence[Rule], settings: CheckSettings, dataset: DatasetSettings) -> tuple[Rule, ...]:
    """Return the rules that a dataset is held to, by code.

    A rule is meant by its code, the beginning of it, or its name. What is ignored wins; without a selection
    all stable rules hold.

    Parameters
    ----------
    rules : sequence of Rule
        All that there are.
    settings : CheckSettings
        What holds for all datasets.
    dataset : DatasetSettings
        What holds for this one; it goes first.

    Returns
    -------
    tuple of Rule
        With the limits and severities in force.

    Raises
    ------
    SettingError
        If something that is named means no rule, or nothing is left.
    """
    select, ignore = dataset.select or settings.select, (*settings.ignore, *dataset.ignore)
    limits = _by_code(rules, {**settings.limits, **dataset.limits}, "limit")
    severity = _by_code(rules, {**settings.severity, **dataset.severity}, "severity")
    wanted = {c for word in select for c in meant(rules, word)} or {
        r.code for r in rules if r.status == "stable"
    }
    wanted -= {code for word in ignore for code in meant(rules, word)}
    if not wanted:
        raise SettingError(f"no rule is left for dataset {dataset.name!r}", "select more, or ignore fewer")
    return tuple(
        replace(
            rule,
            limit=float(limits.get(rule.code, rule.limit)),
            severity=severity.get(rule.code, rule.severity),
        )
        for rule in rules
        if rule.code in wanted
    )


def meant(rules: Iterable[Rule], word: str) -> list[str]:
    """Return the codes that a code, its beginning or a name means.

    Raises
    ------
    SettingError
        If it means none.
    """
    rules = list(rules)
    codes = [
        rule.code for rule in rules if rule.name == word or (word and rule.code.startswith(word.upper()))
    ]
    if codes:
        return codes
    close = closest(word, [name for rule in rules for name in (rule.code, rule.name)])
    hint = f"did you mean {close!r}?" if close else "audit rule --all shows all"
    raise SettingError(f"there is no rule {word!r}", hint)


def _by_code(rules: Sequence[Rule], values: Mapping[str, Value], what: str) -> dict[str, Value]:
    """Return values by code; each must name one rule."""
    found: dict[str, Value] = {}
    for word, value in values.items():
        codes = meant(rules, word)
        if len(codes) > 1:
            raise SettingError(
                f"a {what} is for one rule: {word!r} means {len(codes)}", "write the whole code"
            )
        found[codes[0]] = value
    return found


PREFIX: Final = "DATAAUDIT_"
SECRET_VARIABLE: Final = "DATAAUDIT_BASELINE_KEY"  # noqa: S105 - its name, not its value
AUTO: Final = "auto"
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: how the schema says it, how people say it, and whether a value is of it."""

    schema: Mapping[str, Any]
    words: str
    example: str
    holds: Callable[[Any], bool]


def _number(value: Any, *, least: float = -math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))


KINDS: Final[Mapping[str, Kind]] = {
    "text": Kind({"type": "string"}, "a text", '"name"', lambda value: isinstance(value, str)),
    "texts": Kind(_TEXTS, "a text or a list of texts", '["a", "b"]', _texts),
    "path": Kind({"type": "string"}, "a path", '"folder/file"', lambda value: isinstance(value, str)),
    "paths": Kind(_TEXTS, "a path or a list of paths", '"data/train.csv"', _texts),
    "base": Kind(
        {"type": "string"},
        "a path or REVISION:PATH",
        '"origin/main:data.csv"',
        lambda value: isinstance(value, str),
    ),
    "number": Kind({"type": "number"}, "a number", "0.02", _number),
    "query": Kind({"type": "string"}, "a text", '"select * from mail"', lambda value: isinstance(value, str)),
    "share": Kind(
        {"type": "number", "minimum": 0}, "a number from 0", "0.1", lambda value: _number(value, least=0)
    ),
    "whole": Kind({"type": "integer", "minimum": 0}, "a whole number from 0", "100", _whole),
    "flag": Kind({"type": "boolean"}, "true or false", "true", lambda value: isinstance(value, bool)),
    "severity": Kind(
        {"enum": list(SEVERITIES)}, f"one of {', '.join(SEVERITIES)}", '"error"', SEVERITIES.__contains__
    ),
    "redact": Kind({"enum": list(REDACT)}, f"one of {', '.join(REDACT)}", '"cells"', REDACT.__contains__),
    "limits": Kind(
        {"type": "object", "additionalProperties": {"type": "number"}},
        "a table of numbers by rule",
        "limits = { DA101 = 0.02 }",
        lambda value: isinstance(value, dict),
    ),
    "severities": Kind(
        {"type": "object", "additionalProperties": {"enum": list(SEVERITIES)}},
        f"a table of {', '.join(SEVERITIES)} by rule",
        'severity = { DA101 = "warning" }',
        lambda value: isinstance(value, dict),
    ),
}

BY_RULE: Final[Mapping[str, str]] = {
    "limits": "number",
    "severities": "severity",
}  # table → kind of its items


@dataclass(frozen=True, slots=True)
class Field:
    """One key.

    Attributes
    ----------
    key : str
        As it is written in TOML.
    kind : str
        Key of `KINDS`.
    doc : str
        One sentence.
    attribute : str
        Of the settings; empty where it is the key with underscores.
    """

    key: str
    kind: str
    doc: str
    attribute: str = ""

    @property
    def name(self) -> str:
        """Attribute of the settings."""
        return self.attribute or self.key.replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable; empty where a value does not fit on one line."""
        return "" if self.kind in BY_RULE else PREFIX + self.name.upper()


FIELDS: Final = (
    Field("select", "texts", "Rules to hold the data to: codes or their beginnings; none means all."),
    Field("ignore", "texts", "Rules to leave out: codes or their beginnings."),
    Field("limits", "limits", "Limits in place of the rules' own."),
    Field("severity", "severities", "Severities in place of the rules' own."),
    Field("packs", "paths", "Files with rules of your own."),
    Field("fail-on", "severity", "The least severity that fails the build."),
    Field("baseline", "path", "File of accepted findings; auto for the usual one if it is there, or none."),
    Field("hysteresis", "share", "Share of a limit by which a number must be worse than the base's to fail."),
    Field("redact", "redact", "Whether cells of the data are kept out of findings: none, or cells."),
    Field("top", "whole", "Findings kept for each rule."),
    Field("seed", "whole", "Of everything random."),
    Field("cache", "flag", "Whether results are kept and taken again for unchanged data."),
    Field("cache-folder", "path", "Where they are kept."),
)
DATASET_FIELDS: Final = (
    Field("path", "paths", "Files, globs or folders of the data; or a folder of findings.", "paths"),
    Field("label", "text", "Label column."),
    Field("text", "texts", "Columns of running text."),
    Field("features", "texts", "The only columns to use."),
    Field("exclude", "texts", "Columns to leave out."),
    Field("categorical", "texts", "Columns of numbers that are names."),
    Field("id", "text", "Column that names the rows."),
    Field("weight", "text", "Column of row weights."),
    Field("date", "text", "Column that says when a row was observed."),
    Field("test", "paths", "Files of rows that are held out."),
    Field("base", "base", "The data as they were accepted; only what is new or changed since can fail."),
    Field("query", "query", "SQL whose result is the data, or @FILE that has it; path is then the database."),
    Field("select", "texts", "Rules for this dataset, in place of those for all."),
    Field("ignore", "texts", "Rules to leave out of this dataset as well."),
    Field("limits", "limits", "Limits for this dataset."),
    Field("severity", "severities", "Severities for this dataset."),
)
EXTEND: Final = Field("extend", "path", "Another file to take values from; what is said here goes before it.")


def default(field: Field, *, dataset: bool = False) -> Any:
    """Return what holds where nothing is said; None for what must be said."""
    if field.key == "baseline":
        return AUTO
    made = {f.name: f for f in fields(DatasetSettings if dataset else CheckSettings)}[field.name]
    if callable(made.default_factory):
        return made.default_factory()
    return made.default if isinstance(made.default, str | int | float | tuple | None) else None


def checked(field: Field, value: Any, *, where: str) -> Any:
    """Return a value as the settings have it.

    Parameters
    ----------
    field : Field
        The key.
    value : object
        As TOML has it.
    where : str
        File and line, variable or option, for the message.

    Raises
    ------
    SettingError
        If it is of another type.
    """
    kind = KINDS[field.kind]
    if not kind.holds(value):
        close = closest(value, SEVERITIES) if field.kind == "severity" and isinstance(value, str) else None
        hint = f"did you mean {close!r}?" if close else f"write e.g. {kind.example}"
        raise SettingError(f"{where}: {field.key} takes {kind.words}: got {_told(value)}", hint)
    if field.kind in ("texts", "paths"):
        return (value,) if isinstance(value, str) else tuple(value)
    if field.kind in BY_RULE:
        return {code: checked_item(field, code, item, where=where) for code, item in value.items()}
    return value


def checked_item(field: Field, code: str, item: Any, *, where: str) -> Any:
    """Return what a table says of one rule, as `checked` does.

    Raises
    ------
    SettingError
        If it is of another type.
    """
    return checked(Field(code, BY_RULE[field.kind], ""), item, where=where)


def from_text(field: Field, text: str, *, where: str) -> Any:
    """Return the value of an environment variable: lists by commas, true or false, numbers as in TOML.

    Raises
    ------
    SettingError
        If it is of another type.
    """
    value: Any = text
    if field.kind in ("texts", "paths"):
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif field.kind in ("share", "whole", "flag"):
        word = text.strip().lower()
        word = (
            {"1": "true", "yes": "true", "0": "false", "no": "false"}.get(word, word)
            if field.kind == "flag"
            else word
        )
        try:
            value = json.loads(word)
        except ValueError:
            value = text
    return checked(field, value, where=where)


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``[tool.dataaudit]`` and of ``dataaudit.toml``."""
    top = _properties((*FIELDS, EXTEND), dataset=False)
    one = _properties(DATASET_FIELDS, dataset=True)
    name = {"type": "string", "minLength": 1, "description": "Name of the dataset."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dataaudit",
        "description": "The table [tool.dataaudit] of pyproject.toml, or the file dataaudit.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **top,
            "datasets": {
                "type": "object",
                "description": "Datasets by name.",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": one,
                },
            },
            "dataset": {
                "type": "array",
                "description": "Datasets in their order.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {"name": name, **one},
                },
            },
        },
    }


def toml(value: Any) -> str:
    """Return a value as TOML writes it, in one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def toml_key(key: str) -> str:
    """Return a key as TOML writes it: in quotes unless it is a plain word."""
    plain = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain else toml(key)


def _properties(chosen: tuple[Field, ...], *, dataset: bool) -> dict[str, Any]:
    made = {}
    for key in chosen:
        made[key.key] = {"description": key.doc, **KINDS[key.kind].schema}
        if key is not EXTEND and (value := default(key, dataset=dataset)) not in (None, "", (), {}):
            made[key.key]["default"] = value
    return made


def _told(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"  # noqa: PLR2004 - a line's worth
