"""The settings in force, and where each came from: command line > environment > file > default.

What the command line says of a rule also goes before what a file says of it for one dataset.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dataaudit.errors import SettingError, closest
from dataaudit.gate.configfile import NOTHING, Given, Told, find_config, overlaid, read_config, shortest
from dataaudit.gate.fields import (
    AUTO,
    BY_RULE,
    DATASET_FIELDS,
    FIELDS,
    PREFIX,
    SECRET_VARIABLE,
    checked,
    default,
    from_text,
)
from dataaudit.gate.settings import CheckSettings, DatasetSettings

BASELINE: Final = "dataaudit-baseline.jsonl"  # beside the configuration, or in the working folder
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
_LIKE: Final = 0.7  # from which on a variable is one of ours, misspelt; DATAAUDIT_DATA is none
_FIRST_WITHOUT = "say which files: audit check data.csv --label y, or write a configuration: audit init"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says.

    Attributes
    ----------
    config : str or None
        File to take in place of the nearest.
    isolated : bool
        Whether to take no file at all.
    sources : tuple of str
        Names of configured datasets, or their paths, or other files, which then are one dataset.
    values : mapping
        Key of `FIELDS` → value as TOML would have it; only what was said.
    dataset : mapping
        Key of `DATASET_FIELDS` → value, the same; for the one dataset that is checked.
    """

    config: str | None = None
    isolated: bool = False
    sources: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every value with its origin.

    Attributes
    ----------
    file : str
        The file that was read; empty for none.
    values : mapping
        Key → `Told`; of ``limits`` and ``severity`` a mapping by rule.
    datasets : mapping
        Name → key → the same, without what is left to its default.
    places : mapping
        Name of a dataset → path and line that declare it.
    usual_baseline, usual_is_there : str, bool
        The baseline that ``auto`` means, and whether there is one.
    secret : str
        Key of the hashes of rows.
    """

    file: str
    values: Mapping[str, Any]
    datasets: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, tuple[str, int | None]]
    usual_baseline: str
    usual_is_there: bool
    secret: str = field(default="", repr=False)

    @property
    def baseline(self) -> str:
        """File of accepted findings, whether it is there or not; empty for none."""
        told = str(self.values["baseline"].value)
        return self.usual_baseline if told == AUTO else "" if told == "none" else told

    def settings(self) -> CheckSettings:
        """Return them as the gate takes them.

        Raises
        ------
        SettingError
            If there is no dataset, or a value makes no sense.
        """
        if not self.datasets:
            at = f"{self.file} names no dataset" if self.file else "there is nothing to check"
            raise SettingError(at, _FIRST_WITHOUT)
        absent = self.values["baseline"].value == AUTO and not self.usual_is_there
        plain = {f.name: _plain(self.values[f.key]) for f in FIELDS if f.key != "baseline"}
        datasets = tuple(self._dataset(name) for name in self.datasets)
        return CheckSettings(
            **plain, baseline="" if absent else self.baseline, datasets=datasets, secret=self.secret
        )

    def _dataset(self, name: str) -> DatasetSettings:
        told = self.datasets[name]
        plain = {f.name: _plain(told[f.key]) for f in DATASET_FIELDS if f.key in told}
        declared, line = self.places.get(name, ("", None))
        return DatasetSettings(**{"paths": (), **plain}, name=name, declared=declared, declared_line=line)


def load_config(asked: Asked, *, env: Mapping[str, str], cwd: Path) -> Config:
    """Return the configuration in force.

    Parameters
    ----------
    asked : Asked
        What the command line says.
    env : mapping
        Environment variables.
    cwd : Path
        Where the command runs.

    Returns
    -------
    Config
        With the datasets that are to be checked.

    Raises
    ------
    SettingError
        If a file cannot be read, a key or variable is not known, a value is of another type, or options
        that are for one dataset meet several.
    """
    cwd = cwd.resolve()
    path = _file(asked, env, cwd)
    given = read_config(path, cwd=cwd) if path else NOTHING
    folder = path.parent if path else cwd
    said = {
        f.key: _told(f.kind, checked(f, v, where="the command line"), f"--{f.key}") for f, v in _given(asked)
    }
    spoken = overlaid(_from_environment(env), said)
    values = overlaid(overlaid(_defaults(folder, cwd), given.values), spoken)
    datasets = {name: _yield_to(spoken, told) for name, told in _chosen(asked, given).items()}
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


def _given(asked: Asked) -> list[tuple[Any, Any]]:
    fields = {f.key: f for f in FIELDS}
    return [(fields[key], value) for key, value in asked.values.items()]


def _told(kind: str, value: Any, origin: str) -> Any:
    return {code: Told(v, origin) for code, v in value.items()} if kind in BY_RULE else Told(value, origin)


def _plain(told: Any) -> Any:
    return {code: item.value for code, item in told.items()} if isinstance(told, dict) else told.value


def _defaults(folder: Path, cwd: Path) -> dict[str, Any]:
    made = {f.key: _told(f.kind, default(f), "default") for f in FIELDS}
    cache = folder / made["cache-folder"].value
    return {**made, "cache-folder": Told(shortest(cache, cwd), "default")}


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Return what variables say; one that is like none of ours is somebody else's."""
    known = {f.variable: f for f in FIELDS if f.variable}
    made: dict[str, Any] = {}
    for name in sorted(env):
        if name in known:
            made[known[name].key] = Told(from_text(known[name], env[name], where=name), name)
        elif name.startswith(PREFIX) and name not in (CONFIG_VARIABLE, SECRET_VARIABLE):
            ours = [one.removeprefix(PREFIX) for one in (*known, CONFIG_VARIABLE, SECRET_VARIABLE)]
            close = closest(name.removeprefix(PREFIX), ours, least=_LIKE)
            if close:
                raise SettingError(f"there is no variable {name}", f"did you mean {PREFIX + close}?")
    return made


def _yield_to(spoken: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dataset's values without those about which the command line or a variable has spoken."""
    rest = dict(told)
    if "select" in spoken:
        rest.pop("select", None)
    for key in ("limits", "severity"):
        if key in spoken and key in rest:
            rest[key] = {code: item for code, item in rest[key].items() if code not in spoken[key]}
    return rest


def _chosen(asked: Asked, given: Given) -> dict[str, Mapping[str, Any]]:
    """Return the datasets to check: all that are configured, those that are named, or one of other files."""
    fields = {f.key: f for f in DATASET_FIELDS}
    said = {
        key: _told(fields[key].kind, checked(fields[key], value, where="the command line"), f"--{key}")
        for key, value in asked.dataset.items()
    }
    names = [_named(source, given) for source in asked.sources]
    if asked.sources and not all(names):
        told = Told(asked.sources, "command line")
        return {_name(asked.sources[0]): {"path": told, **said}}
    wanted = set(names) or given.datasets.keys()
    datasets = {name: told for name, told in given.datasets.items() if name in wanted}
    if said and len(datasets) > 1:
        hint = f"name one dataset: {', '.join(sorted(datasets))}"
        raise SettingError(f"--{next(iter(said))} is for one dataset, and {len(datasets)} are checked", hint)
    return {name: overlaid(told, said) for name, told in datasets.items()}


def _named(source: str, given: Given) -> str:
    """Return the configured dataset that a word of the command line means: its name or its only path."""
    if source in given.datasets:
        return source
    place = os.path.normpath(source)
    for name, told in given.datasets.items():
        if "path" in told and [os.path.normpath(path) for path in told["path"].value] == [place]:
            return name
    return ""


def _name(source: str) -> str:
    """Return a name for files of which the configuration has none: that of the first, without its ending."""
    if source == "-":
        return "stdin"
    name = PurePosixPath(source.replace("\\", "/").partition("?")[0]).name.strip("*").split(".")[0]
    return "".join(c for c in name if c.isprintable() and c not in "/\\:") or "data"
