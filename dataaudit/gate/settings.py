"""What is asked of the gate: which data, held to which rules, how strictly.

The command line and the configuration file fill in the same values; nothing here reads a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from dataaudit.errors import SettingError, closest
from dataaudit.gate.rule import SEVERITIES, Severity

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
