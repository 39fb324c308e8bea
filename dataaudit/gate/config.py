"""The settings in force, and where each came from: command line > environment > file > default.

What the command line says of a rule also goes before what a file says of it for one dataset. The file is in
the nearest folder upward whose ``dataaudit.toml``, or whose ``pyproject.toml`` with a ``[tool.dataaudit]``,
is there. Files are never merged, except where one says ``extend``. Paths in a file are relative to it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dataaudit.errors import SettingError, closest, suggestion
from dataaudit.gate.settings import (
    AUTO,
    DATASET_FIELDS,
    EXTEND,
    FIELDS,
    PREFIX,
    SECRET_VARIABLE,
    CheckSettings,
    DatasetSettings,
    checked,
    checked_item,
    default,
    from_text,
)
from dataaudit.options import Option
from dataaudit.secrets import public

BASELINE: Final = "dataaudit-baseline.jsonl"  # next to the configuration, or in the working folder
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
OWN: Final = "dataaudit.toml"
PROJECT: Final = "pyproject.toml"
_LIKE: Final = 0.7  # from which on a variable is one of ours, misspelt; DATAAUDIT_DATA is not
_NAME = 80  # characters of a name that is made of a path or an address
_FAR = 3  # folders up, from which an absolute path is easier to read
_TABLE = ("tool", "dataaudit")
_SECRETS = frozenset({"secret", "key", "baseline-key", "baseline_key"})
_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_FENCE = re.compile(r"\"\"\"|'''")
_FIRST_WITHOUT = "say which files: audit check data.csv --label y, or write a configuration: audit init"
Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class GivenValue:
    """A value, and where it was given: ``pyproject.toml:12``, a variable, an option, or ``default``."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Given:
    """What a file says, and what those say that it extends."""

    values: Mapping[str, Any]  # key → `GivenValue`; of limits and severity a mapping by rule
    datasets: Mapping[str, Mapping[str, Any]]  # name → the same
    places: Mapping[str, tuple[str, int | None]]  # name → path and line that declare it


NOTHING: Final = Given({}, {}, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    config: str | None = None  # a file to take in place of the nearest
    isolated: bool = False  # take no file at all
    sources: tuple[str, ...] = ()  # configured datasets, or other files, which then are one dataset
    values: Mapping[str, Any] = field(default_factory=dict)  # key → value; only what was said
    dataset: Mapping[str, Any] = field(default_factory=dict)  # the same, for the one dataset that is checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every value with its origin."""

    file: str  # empty for none
    values: Mapping[str, Any]
    datasets: Mapping[str, Mapping[str, Any]]  # without what is left to its default
    places: Mapping[str, tuple[str, int | None]]
    usual_baseline: str  # what ``auto`` means
    usual_is_there: bool
    secret: str = field(default="", repr=False)  # key of the hashes of rows

    @property
    def baseline(self) -> str:
        """File of accepted findings, whether it is there or not; empty for none."""
        entry = str(self.values["baseline"].value)
        return self.usual_baseline if entry == AUTO else "" if entry == "none" else entry

    def settings(self) -> CheckSettings:
        """Return them as the gate takes them; raise `SettingError` if there is nothing to check."""
        if not self.datasets:
            at = f"{self.file} names no dataset" if self.file else "there is nothing to check"
            raise SettingError(at, _FIRST_WITHOUT)
        absent = self.values["baseline"].value == AUTO and not self.usual_is_there
        said = {FIELDS[key].name: _plain(entry) for key, entry in self.values.items()}
        said["baseline"] = "" if absent else self.baseline
        datasets = tuple(self._dataset(name) for name in self.datasets)
        return CheckSettings(**said, datasets=datasets, secret=self.secret)

    def _dataset(self, name: str) -> DatasetSettings:
        said = {DATASET_FIELDS[key].name: _plain(entry) for key, entry in self.datasets[name].items()}
        declared, line = self.places.get(name, ("", None))
        return DatasetSettings(**{"paths": (), **said}, name=name, declared=declared, declared_line=line)


def load_config(asked: Asked, *, env: Mapping[str, str], cwd: Path) -> Config:
    """Return the configuration in force, with the datasets that are to be checked."""
    cwd = cwd.resolve()
    path = _file(asked, env, cwd)
    given = read_config(path, cwd=cwd) if path else NOTHING
    folder = path.parent if path else cwd
    spoken = overlaid(_from_environment(env), _said(asked.values, FIELDS))
    values = overlaid(overlaid(_defaults(folder, cwd), given.values), spoken)
    datasets = {name: _yield_to(spoken, entry) for name, entry in _chosen(asked, given).items()}
    return Config(
        file=shortest(path, cwd) if path else "",
        values=values,
        datasets=datasets,
        places=given.places,
        usual_baseline=shortest(folder / BASELINE, cwd),
        usual_is_there=(folder / BASELINE).is_file(),
        secret=env.get(SECRET_VARIABLE, ""),
    )


def _file(asked: Asked, env: Mapping[str, str], cwd: Path) -> Path | None:
    if asked.isolated:
        if asked.config:
            raise SettingError("--isolated takes no file, and --config names one", "leave out one of them")
        return None
    named = asked.config or env.get(CONFIG_VARIABLE)
    return cwd / named if named else find_config(cwd)


def _said(values: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return what the command line says, checked."""
    return {
        key: _given_value(known[key], checked(known[key], value, where="the command line"), f"--{key}")
        for key, value in values.items()
    }


def _given_value(option: Option, value: Any, origin: str) -> Any:
    if option.opt.kind == "pairs":
        return {code: GivenValue(item, origin) for code, item in value.items()}
    return GivenValue(value, origin)


def _plain(entry: Any) -> Any:
    return {code: item.value for code, item in entry.items()} if isinstance(entry, dict) else entry.value


def _defaults(folder: Path, cwd: Path) -> dict[str, Any]:
    usual = {key: (option, default(option)) for key, option in FIELDS.items()}
    made = {key: _given_value(*one, "default") for key, one in usual.items() if one[1] is not None}
    return made | {"cache-folder": GivenValue(shortest(folder / made["cache-folder"].value, cwd), "default")}


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Return what variables say; one that is like none of ours is somebody else's."""
    known = {PREFIX + one.name.upper(): one for one in FIELDS.values() if one.opt.kind != "pairs"}
    made: dict[str, Any] = {}
    for name in sorted(env):
        if name in known:
            made[known[name].key] = GivenValue(from_text(known[name], env[name], where=name), name)
        elif name.startswith(PREFIX) and name not in (CONFIG_VARIABLE, SECRET_VARIABLE):
            ours = [one.removeprefix(PREFIX) for one in (*known, CONFIG_VARIABLE, SECRET_VARIABLE)]
            close = closest(name.removeprefix(PREFIX), ours, least=_LIKE)
            if close:
                raise SettingError(f"there is no variable {name}", f"did you mean {PREFIX + close}?")
    return made


def _yield_to(spoken: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dataset's values without those about which the command line or a variable has spoken."""
    rest = dict(entry)
    if "select" in spoken:
        rest.pop("select", None)
    for key in ("limits", "severity"):
        if key in spoken and key in rest:
            rest[key] = {code: item for code, item in rest[key].items() if code not in spoken[key]}
    return rest


def _chosen(asked: Asked, given: Given) -> dict[str, Mapping[str, Any]]:
    """Return the datasets to check: all that are configured, those that are named, or one of other files."""
    said = _said(asked.dataset, DATASET_FIELDS)
    names = [_named(source, given) for source in asked.sources]
    if asked.sources and not all(names):
        entry = GivenValue(asked.sources, "command line")
        return {_name(asked.sources[0]): {"path": entry, **said}}
    wanted = set(names) or given.datasets.keys()
    datasets = {name: entry for name, entry in given.datasets.items() if name in wanted}
    if said and len(datasets) > 1:
        hint = f"name one dataset: {', '.join(sorted(datasets))}"
        raise SettingError(f"--{next(iter(said))} is for one dataset, and {len(datasets)} are checked", hint)
    return {name: overlaid(entry, said) for name, entry in datasets.items()}


def _named(source: str, given: Given) -> str:
    """Return the configured dataset that a word of the command line means: its name or its only path."""
    if source in given.datasets:
        return source
    paths = {name: entry["path"].value for name, entry in given.datasets.items() if "path" in entry}
    place = [os.path.normpath(source)]
    return next((name for name, mine in paths.items() if list(map(os.path.normpath, mine)) == place), "")


def _name(source: str) -> str:
    """Return a name for files of which the configuration has none: that of the first, without its ending."""
    if source == "-":
        return "stdin"
    name = PurePosixPath(public(source).replace("\\", "/").partition("?")[0]).name.strip("*").split(".")[0]
    return "".join(c for c in name if c.isprintable() and c not in "/\\:[]")[:_NAME].strip() or "data"


def find_config(folder: Path) -> Path | None:
    """Return the file that holds for `folder`, or None."""
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / OWN).is_file():
            return place / OWN
        if (place / PROJECT).is_file() and _table(place / PROJECT, _read(place / PROJECT)[0]) is not None:
            return place / PROJECT
    return None


def read_config(path: Path, *, cwd: Path, seen: tuple[Path, ...] = ()) -> Given:
    """Read a file, and those that it extends; paths of the result are relative to `cwd`, if below it."""
    if path.resolve() in seen:
        raise SettingError(f"{shortest(path, cwd)} extends itself", "take out one extend")
    document, text = _read(path)
    table = _table(path, document)
    if table is None:
        raise SettingError(f"{shortest(path, cwd)} has no [tool.dataaudit]", "add the table, or: audit init")
    prefix = _TABLE if path.name == PROJECT else ()
    reader = _Reader(path, cwd, prefix=prefix, lines=_Lines.of(text))
    own = reader.read(table)
    if "extend" not in table:
        return own
    place = reader.where(("extend",))
    parent = path.parent / checked(EXTEND, table["extend"], where=place)
    if not parent.is_file():
        raise SettingError(f"{place}: extend names no file: got {parent.as_posix()!r}", "correct the path")
    return _merged(read_config(parent, cwd=cwd, seen=(*seen, path.resolve())), own)


def _merged(under: Given, over: Given) -> Given:
    """Return what holds of two files; limits and severities go by rule, datasets by name and key."""
    datasets = {**under.datasets, **over.datasets}
    for name in under.datasets.keys() & over.datasets.keys():
        datasets[name] = overlaid(under.datasets[name], over.datasets[name])
    return Given(overlaid(under.values, over.values), datasets, {**under.places, **over.places})


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, of the same key the second; tables by rule are united."""
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = {**under[key], **over[key]}
    return both


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text), text
    except OSError as error:
        what = f"{path.as_posix()} cannot be read: {error.strerror}"
        raise SettingError(what, "name a file with --config") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path.as_posix()} is not UTF-8", "save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # also numbers too long, and what is nested too deep
        what = f"{path.as_posix()} is not TOML: {error}"
        raise SettingError(what, "fix that line") from error


def _table(path: Path, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table that is ours; of a file that is not ``pyproject.toml`` it is the whole."""
    if path.name != PROJECT:
        return dict(document)
    tool = document.get("tool")
    ours = tool.get("dataaudit") if isinstance(tool, dict) else None
    return ours if isinstance(ours, dict) else None


def shortest(path: Path, cwd: Path) -> str:
    """Return a path as a person in `cwd` would write it: relative, unless it lies elsewhere."""
    full, here = os.path.normpath(cwd / path), os.path.normpath(cwd)
    try:
        near = os.path.relpath(full, here)
    except ValueError:  # another drive
        near = full
    far = Path(near).parts[:_FAR] == ("..",) * _FAR
    return Path(full if far else near).as_posix()


@dataclass(frozen=True, slots=True)
class _Reader:
    """One file, its paths and its lines."""

    path: Path
    cwd: Path
    prefix: tuple[str, ...]
    lines: _Lines

    def where(self, keys: Sequence[str | int]) -> str:
        line = self.lines.find((*self.prefix, *keys))
        shown = shortest(self.path, self.cwd)
        return shown if line is None else f"{shown}:{line}"

    def read(self, table: Mapping[str, Any]) -> Given:
        datasets, places = dict[str, Mapping[str, Any]](), dict[str, tuple[str, int | None]]()
        for keys, name, entry in self._datasets(table):
            if name in datasets:
                raise SettingError(f"{self.where(keys)}: two datasets are called {name!r}", "rename one")
            datasets[name] = self._values(entry, DATASET_FIELDS, keys)
            places[name] = shortest(self.path, self.cwd), self.lines.find((*self.prefix, *keys))
        rest = {key: value for key, value in table.items() if key not in ("datasets", "dataset")}
        values = self._values(rest, FIELDS | {"extend": EXTEND}, ())
        values.pop("extend", None)
        return Given(values, datasets, places)

    def _datasets(self, table: Mapping[str, Any]) -> Iterator[tuple[Keys, str, Any]]:
        named, listed = table.get("datasets", {}), table.get("dataset", [])
        if not isinstance(named, dict) or not all(isinstance(entry, dict) for entry in named.values()):
            hint = "write [tool.dataaudit.datasets.NAME]" if self.prefix else "write [datasets.NAME]"
            raise SettingError(f"{self.where(('datasets',))}: datasets is no table of tables", hint)
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            hint = "write [[tool.dataaudit.dataset]]" if self.prefix else "write [[dataset]]"
            raise SettingError(f"{self.where(('dataset',))}: dataset is no array of tables", hint)
        for name, entry in named.items():
            yield ("datasets", name), name, entry
        for i, entry in enumerate(listed):
            if not isinstance(entry.get("name"), str):
                raise SettingError(f"{self.where(('dataset', i))}: the dataset has no name", 'add name = "…"')
            rest = {key: value for key, value in entry.items() if key != "name"}
            yield ("dataset", i), entry["name"], rest

    def _values(self, table: Mapping[str, Any], known: Mapping[str, Option], keys: Keys) -> dict[str, Any]:
        made = dict[str, Any]()
        for key, value in table.items():
            where = self.where((*keys, key))
            if key not in known:
                raise self._unknown(key, list(known), where, dataset=bool(keys))
            option = known[key]
            if option.opt.kind == "pairs" and isinstance(value, dict):
                made[key] = {}
                for code, item in value.items():
                    place = self.where((*keys, key, code))
                    made[key][code] = GivenValue(checked_item(option, code, item, where=place), place)
            else:
                made[key] = GivenValue(self._placed(option, checked(option, value, where=where)), where)
        return made

    def _unknown(self, key: str, known: list[str], where: str, *, dataset: bool) -> SettingError:
        what = f"{where}: there is no key {key!r}{' of a dataset' if dataset else ''}"
        if key in _SECRETS:
            return SettingError(what, "set the variable DATAAUDIT_BASELINE_KEY: a key in a file is no secret")
        names = known + ([] if dataset else ["datasets", "dataset"])
        return SettingError(
            what, suggestion(key.replace("_", "-"), names, f"the keys are {', '.join(names)}")
        )

    def _placed(self, option: Option, value: Any) -> Any:
        """Return paths as seen from where the command runs."""
        kind = option.opt.kind
        if kind == "paths":
            return tuple(self._seen(path) for path in value)
        if kind == "path" and not (option.key == "baseline" and value in ("auto", "none", "")):
            return self._seen(value)
        if kind == "query" and value.startswith("@"):
            return f"@{self._seen(value[1:])}"
        if kind == "base" and value:
            revision, colon, path = value.partition(":")
            if not colon:
                return self._seen(value)
            if not path.startswith(("./", "../")):
                return value  # from the root of the repository, as Git has it
            seen = self._seen(path)
            return f"{revision}:{seen if seen.startswith('../') else './' + seen}"
        return value

    def _seen(self, path: str) -> str:
        elsewhere = "://" in path or path == "-" or path.startswith("$")  # an address, or a variable with one
        return path if elsewhere else shortest(self.path.parent / path, self.cwd)


@dataclass(frozen=True, slots=True)
class _Lines:
    """On which line each key of a TOML text stands, as far as a glance at each line tells."""

    found: Mapping[Keys, int]

    @classmethod
    def of(cls, text: str) -> _Lines:
        found: dict[Keys, int] = {}
        counts: dict[Keys, int] = {}
        table: Keys = ()
        inside = ""  # the fence of a text of several lines
        for number, line in enumerate(text.splitlines(), 1):
            header, key = (None, None) if inside else (_HEADER.match(line), _KEY.match(line))
            for fence in _FENCE.findall(line):
                inside = "" if fence == inside else inside or fence
            if header:
                table = _parts(header[2])
                if header[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    found.setdefault(table, number)
                    table = (*table, counts[table])
                else:  # with the number of the array's entry that it belongs to
                    ends = (end for end in range(len(table) - 1, 0, -1) if table[:end] in counts)
                    end = next(ends, 0)
                    table = (*table[:end], counts[table[:end]], *table[end:]) if end else table
                found.setdefault(table, number)
            elif key:
                whole = (*table, *_parts(key[1]))
                for end in range(len(table) + 1, len(whole) + 1):
                    found.setdefault(whole[:end], number)
        return cls(found)

    def find(self, keys: Sequence[str | int]) -> int | None:
        """Return the line of a key, or of the nearest table around it that has one."""
        lines = (self.found.get(tuple(keys[:end])) for end in range(len(keys), 0, -1))
        return next((line for line in lines if line is not None), None)


def _parts(dotted: str) -> tuple[str, ...]:
    """Return the keys of a dotted key, without quotes and escapes."""
    parts = list[str]()
    try:
        inner = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:  # not a key after all: a text of several lines that the glance overlooked
        return (dotted,)
    while isinstance(inner, dict):
        [(key, inner)] = inner.items()
        parts.append(key)
    return tuple(parts)
