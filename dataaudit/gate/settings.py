"""What is asked of the gate, once: the options of a check and of a dataset, and the keys that they have.

The command line, the environment and the configuration file fill in the same values; nothing here reads one.
The keys, their checks, ``audit config show`` and the JSON schema are made of `CheckSettings` and
`DatasetSettings`: a key is the name of its field with hyphens, ``fail_on`` → ``fail-on``.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from dataaudit.errors import SettingError, suggestion
from dataaudit.options import (
    INPUT,
    By,
    ClassOptions,
    ColumnOptions,
    GroupColumn,
    Id,
    Opt,
    Option,
    RunOptions,
    Severity,
    Task,
    TextOptions,
    Weight,
    options_of,
    parse_size,
)
from dataaudit.secrets import public

if TYPE_CHECKING:
    from dataaudit.findings.verdict import Rule

HYSTERESIS: Final = 0.1  # of a limit: how much worse than the base a number must be to gate
SEVERITIES: Final[tuple[str, ...]] = get_args(Severity)
SHOWN: Final = 500  # findings kept for each rule
PREFIX: Final = "DATAAUDIT_"
SECRET_VARIABLE: Final = "DATAAUDIT_BASELINE_KEY"  # noqa: S105 - its name, not its value
AUTO: Final = "auto"
GATE, OUTPUT = "Gate", "Output"  # panels of --help
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\:]+")  # of a dataset: it becomes part of file names and identities
_BASE = "The data as they were accepted, also REVISION:PATH of Git: only what is new or changed fails."
_QUERY = "SQL whose result is the data, or @FILE that has it; path is then the database."
_REDACT = "Keep cells of the data out of findings; names of columns, classes, rows and files stay."
_HYSTERESIS = "Share of a limit, or of an accepted value, by which a number must be worse to fail."
_BASELINE = "Accepted findings; auto for the usual file if it is there, or none."


class DatasetSettings(ColumnOptions, TextOptions, ClassOptions):
    """One dataset, and what to hold it to beyond what holds for all."""

    name: str  # its identity over time: accepted findings and fingerprints go by it
    paths: Annotated[
        Sequence[str], Opt("Files, globs or folders; or a folder of findings.", kind="paths", key="path")
    ]
    label: Annotated[str, Opt("Label column.", INPUT, flags="--label -l", place=-1)] = ""
    id: Id = None
    task: Task = None
    weight: Weight = None
    group: GroupColumn = None
    by: By = ()
    date: Annotated[str | None, Opt("Says when a row was observed.", INPUT)] = None
    test: Annotated[Sequence[str], Opt("Rows held out.", INPUT, metavar="SOURCE", kind="paths")] = ()
    base: Annotated[str, Opt(_BASE, GATE, metavar="FILE", kind="base", place=-3)] = ""
    query: Annotated[str, Opt(_QUERY, kind="query")] = ""
    select: Annotated[Sequence[str], Opt("Rules for this dataset, in place of those for all.")] = ()
    ignore: Annotated[Sequence[str], Opt("Rules to leave out of this dataset as well.")] = ()
    limits: Annotated[Mapping[str, float], Opt("Limits for this dataset.", kind="pairs")] = field(
        default_factory=dict
    )
    severity: Annotated[Mapping[str, Severity], Opt("Severities for this dataset.", kind="pairs")] = field(
        default_factory=dict
    )
    declared: str = ""  # the text file that declares this dataset, and the line there
    declared_line: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The paths as people may see them: addresses without their secrets."""
        return tuple(map(public, self.paths))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _NAME.fullmatch(self.name):
            raise SettingError(f"a dataset cannot be called {self.name!r}", "use letters, digits, - and _")
        if not self.paths:
            raise SettingError(f"dataset {self.name!r} names no file", "give it a path")
        for column, role in (
            (self.id, "id"),
            (self.weight, "weight"),
            (self.group, "group"),
            (self.date, "date"),
        ):
            if column and column == self.label:
                raise SettingError(f"column {column!r} is both the label and the {role}", "name two columns")
        if self.task in ("regression", "count") and (self.fold_labels or self.no_label):
            what = (
                f"dataset {self.name!r} has numbers as labels, and fold-labels and no-label are for classes"
            )
            raise SettingError(what, "leave them out")
        if self.label and self.label in self.by:
            raise SettingError(f"column {self.label!r} is both the label and one to count by", "name another")
        _check_rules(self)


class CheckSettings(RunOptions):
    """A run of the gate."""

    datasets: Sequence[DatasetSettings]  # in the order to report them; names are unique
    select: Annotated[
        Sequence[str], Opt("Only these rules: codes or their beginnings.", GATE, metavar="RULES")
    ] = ()
    ignore: Annotated[Sequence[str], Opt("Not these rules.", GATE, metavar="RULES")] = ()
    limits: Annotated[
        Mapping[str, float],
        Opt("Another limit: DA101=0.05.", GATE, metavar="RULE=NUMBER", flags="--limit", kind="pairs"),
    ] = field(default_factory=dict)
    severity: Annotated[
        Mapping[str, Severity], Opt("Another severity: DA201=note.", GATE, metavar="RULE=NAME", kind="pairs")
    ] = field(default_factory=dict)
    packs: Annotated[
        Sequence[str], Opt("Rules of your own.", GATE, metavar="FILE", flags="--pack", kind="paths")
    ] = ()
    fail_on: Annotated[Severity, Opt("Least severity that fails.", GATE)] = "error"
    baseline: Annotated[str, Opt(_BASELINE, GATE, metavar="FILE", shown=AUTO, kind="path", place=-2)] = ""
    hysteresis: Annotated[float, Opt(_HYSTERESIS, least=0)] = HYSTERESIS
    secret: str = ""  # key of the hashes of rows
    redact: Annotated[Literal["none", "cells"], Opt(_REDACT, OUTPUT)] = "none"
    top: Annotated[int, Opt("Findings kept for each rule.")] = SHOWN
    seed: Annotated[int, Opt("Seed of all that is random.")] = 0
    cache: Annotated[bool, Opt("Keep results, and take them again for unchanged data.")] = True
    cache_folder: Annotated[str, Opt("Where they are kept.", kind="path")] = ".dataaudit-cache"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [dataset.name for dataset in self.datasets]
        for name in names:
            if names.count(name) > 1:
                raise SettingError(f"{names.count(name)} datasets are called {name!r}", "rename one of them")
        _check_rules(self)


def _check_rules(settings: DatasetSettings | CheckSettings) -> None:
    for code, limit in settings.limits.items():
        if isinstance(limit, bool) or not math.isfinite(limit):
            raise SettingError(f"the limit of {code} is no number: got {limit!r}", "write e.g. 0.05")
    for code, value in settings.severity.items():
        if value not in SEVERITIES:
            raise SettingError(f"{code} has no severity {value!r}", suggestion(str(value), SEVERITIES))


Value = TypeVar("Value")


def chosen(rules: "Sequence[Rule]", settings: CheckSettings, dataset: DatasetSettings) -> "tuple[Rule, ...]":
    """Return the rules that a dataset is held to, by code.

    A rule is meant by its code, the beginning of it, or its name. What is ignored wins; without a selection
    all stable rules hold.
    """
    select, ignore = dataset.select or settings.select, (*settings.ignore, *dataset.ignore)
    limits = _by_code(rules, {**settings.limits, **dataset.limits}, "limit")
    severity = _by_code(rules, {**settings.severity, **dataset.severity}, "severity")
    stable = {rule.code for rule in rules if rule.status == "stable"}
    wanted = {code for word in select for code in meant(rules, word)} or stable
    wanted -= {code for word in ignore for code in meant(rules, word)}
    if not wanted:
        raise SettingError(f"no rule is left for dataset {dataset.name!r}", "select more, or ignore fewer")
    mine = [(rule, rule.code) for rule in rules if rule.code in wanted]
    return tuple(
        replace(r, limit=float(limits.get(code, r.limit)), severity=severity.get(code, r.severity))
        for r, code in mine
    )


def meant(rules: "Iterable[Rule]", word: str) -> list[str]:
    """Return the codes that a code, its beginning or a name means."""
    rules = list(rules)
    codes = [r.code for r in rules if r.name == word or (word and r.code.startswith(word.upper()))]
    if not codes:
        known = [name for rule in rules for name in (rule.code, rule.name)]
        raise SettingError(
            f"there is no rule {word!r}", suggestion(word, known, "audit rule --all shows all")
        )
    return codes


def _by_code(rules: "Sequence[Rule]", values: Mapping[str, Value], what: str) -> dict[str, Value]:
    """Return values by code; each must name one rule."""
    found: dict[str, Value] = {}
    for word, value in values.items():
        codes = meant(rules, word)
        if len(codes) > 1:
            why = f"a {what} is for one rule: {word!r} means {len(codes)}"
            raise SettingError(why, "write the whole code")
        found[codes[0]] = value
    return found


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: how the schema says it, how people say it, and whether a value is of it."""

    schema: Mapping[str, Any]
    words: str
    example: str
    holds: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_size(value: Any) -> bool:
    with suppress(SettingError):
        return (parse_size(value, "") if isinstance(value, str) else value) > 0
    return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(map(_is_text, value)))


_NOUNS: Final = {"path": "a path", "paths": "a path", "base": "a path or REVISION:PATH"}


def _kind(option: Option) -> Kind:
    """Return what a key takes."""
    if option.opt.kind == "pairs":
        item = _kind(replace(option, repeated=False, opt=Opt("")))
        schema = {"type": "object", "additionalProperties": item.schema}
        plural = ", ".join(option.choices) or "numbers"
        words, example = f"a table of {plural} by rule", f"{{ DA101 = {item.example} }}"
        return Kind(schema, words, example, lambda value: isinstance(value, dict))
    if option.choices:
        words = f"one of {', '.join(option.choices)}"
        example = json.dumps(option.choices[0])
        return Kind({"enum": list(option.choices)}, words, example, option.choices.__contains__)
    if option.opt.kind == "size":
        either = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": option.least}]}
        return Kind(either, "a size", '"4GiB"', _is_size)
    least = {} if option.least == -math.inf else {"minimum": 0}
    bound, above = (0, " from 0") if least else (-math.inf, "")
    simple: dict[Any, tuple[str, str, str, Callable[[Any], bool]]] = {
        bool: ("boolean", "true or false", "true", lambda value: isinstance(value, bool)),
        int: ("integer", "a whole number", "100", lambda value: isinstance(value, int) and _is_number(value)),
        float: ("number", "a number", "0.1", _is_number),
    }
    if option.type in simple:
        name, words, example, holds = simple[option.type]
        return Kind({"type": name, **least}, words + above, example, lambda v: holds(v) and v >= bound)
    noun = _NOUNS.get(option.opt.kind, "a text")
    if option.repeated:
        text: dict[str, Any] = {"type": "string"}
        many: dict[str, Any] = {"anyOf": [text, {"type": "array", "items": text}]}
        return Kind(many, f"{noun} or a list of {noun.removeprefix('a ')}s", '["a", "b"]', _are_texts)
    return Kind({"type": "string"}, noun, '"name"', _is_text)


_EXTEND = "Another file to take values from; what is said here goes before it."
EXTEND: Final = Option("extend", str, Opt(_EXTEND, kind="path"), None)
FIELDS: Final = {option.key: option for option in options_of(CheckSettings)}
DATASET_FIELDS: Final = {option.key: option for option in options_of(DatasetSettings)}


def default(option: Option) -> Any:
    """Return what holds where nothing is said; None for what must be said."""
    if option.name == "baseline":
        return AUTO
    return option.default if isinstance(option.default, str | int | float | tuple | dict | None) else None


def example(option: Option) -> str:
    """Return a value that a key takes, as TOML."""
    return _kind(option).example


def checked(option: Option, value: Any, *, where: str) -> Any:
    """Return a value of a file as the settings have it; `where` is its file and line, variable or option."""
    kind = _kind(option)
    if not kind.holds(value):
        known = option.choices if isinstance(value, str) else ()
        hint = suggestion(str(value), known, f"write e.g. {example(option)}")
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:59] + "…"  # noqa: PLR2004 - a line
        raise SettingError(f"{where}: {option.key} takes {kind.words}: got {shown}", hint)
    if option.opt.kind == "pairs":
        return {code: checked_item(option, code, item, where=where) for code, item in value.items()}
    if option.repeated:
        return (value,) if isinstance(value, str) else tuple(value)
    return value


def checked_item(option: Option, code: str, item: Any, *, where: str) -> Any:
    """Return what a table says of one rule, as `checked` does."""
    return checked(replace(option, name=code, repeated=False, opt=Opt("", key=code)), item, where=where)


def from_text(option: Option, text: str, *, where: str) -> Any:
    """Return the value of an environment variable: lists by commas, true or false, numbers as in TOML."""
    value: Any = text
    if option.repeated:
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif option.type in (bool, int, float):
        word = text.strip().lower()
        if option.type is bool:
            word = {"1": "true", "yes": "true", "0": "false", "no": "false"}.get(word, word)
        try:
            value = json.loads(word)
        except ValueError:
            value = text
    return checked(option, value, where=where)


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``[tool.dataaudit]`` and of ``dataaudit.toml``."""
    one = {key: _property(option) for key, option in DATASET_FIELDS.items()}
    name = {"type": "string", "minLength": 1, "description": "Name of the dataset."}
    table: dict[str, Any] = {"type": "object", "additionalProperties": False}
    items = {**table, "required": ["name"], "properties": {"name": name, **one}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dataaudit",
        "description": "The table [tool.dataaudit] of pyproject.toml, or the file dataaudit.toml.",
        **table,
        "properties": {
            **{key: _property(option) for key, option in (FIELDS | {"extend": EXTEND}).items()},
            "datasets": {
                "type": "object",
                "description": "Datasets by name.",
                "additionalProperties": {**table, "properties": one},
            },
            "dataset": {"type": "array", "description": "Datasets in their order.", "items": items},
        },
    }


def _property(option: Option) -> dict[str, Any]:
    made, value = {"description": option.opt.help, **_kind(option).schema}, default(option)
    return made if value in (None, "", (), {}) else made | {"default": value}


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
