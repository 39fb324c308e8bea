"""Material: the data that facts are made of, and what was made of them so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from dataaudit.gate.data import Data
from dataaudit.gate.facts.table import Need
from dataaudit.gate.identity import row_contents, row_keys, states
from dataaudit.gate.settings import DatasetSettings

Made = TypeVar("Made")


def no_step(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(kw_only=True)
class Material:
    """One dataset on its way through the gate.

    Attributes
    ----------
    settings : DatasetSettings
        What was asked.
    data, test : Data or None
        The rows, and those held out; `data` is None where there is only a folder of findings.
    base : Material or None
        The accepted rows, with the same `test` and no base of their own.
    folder : Path or None
        Findings of an audit.
    seed : int
        Of everything random.
    secret : str
        Key of the hashes of rows.
    redact : bool
        Whether findings are told without cells of the data.
    on_step : callable (stage, done, total) -> None
        Told of progress.
    """

    settings: DatasetSettings
    data: Data | None
    test: Data | None = None
    base: Material | None = None
    folder: Path | None = None
    seed: int = 0
    secret: str = ""
    redact: bool = False
    on_step: Callable[[str, int, int], None] = no_step
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> Data:
        """The data, where a table's needs say that they are there."""
        if self.data is None:
            raise ValueError("there are findings, and no data")
        return self.data

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, and keep it for whoever asks for `name` again."""
        if name not in self._made:
            self._made[name] = make()
        made: Made = self._made[name]
        return made

    def lacks(self, need: Need) -> bool:
        """Whether something that a table needs was not given."""
        settings = self.settings
        if need == "fit":
            return self.folder is None and (self.data is None or not settings.label)
        if self.data is None:
            return True
        given: dict[str, object] = {
            "label": settings.label,
            "text": settings.text,
            "id": settings.id,
            "date": settings.date,
            "test": self.test,
            "base": self.base,
        }
        return not given[need]

    @property
    def features(self) -> list[str]:
        """Columns that a model would learn from: those named, or all but label, id, weight and date."""
        settings = self.settings
        others = {settings.label, settings.id, settings.weight, settings.date}
        named = {*settings.features, *settings.text, *settings.categorical} if settings.features else None
        return [name for name in self.rows.schema if name not in others and (named is None or name in named)]

    @cached_property
    def keys(self) -> pl.Series:
        """Hexadecimal names of all rows, (n,): see `identity.row_keys`."""
        columns = list(self.rows.schema)
        return self._keys(columns)

    @cached_property
    def states(self) -> pl.Series | None:
        """Return ``new``, ``changed`` or ``known`` for each row, (n,); None without a base.

        A column that only one side has is left out: that it came or went is a finding of its own.
        """
        if self.base is None or self.data is None:
            return None
        shared = [name for name in self.rows.schema if name in self.base.rows.schema]
        mine, theirs = self._keys(shared), self.base._keys(shared)  # noqa: SLF001 - of the same class
        if not self.settings.id:
            return states(mine, theirs)
        now, was = (
            row_contents(side.rows.read(shared), columns=shared, secret=self.secret)
            for side in (self, self.base)
        )
        return states(mine, theirs, contents=now, base_contents=was)

    def _keys(self, columns: list[str]) -> pl.Series:
        frame, id_column = self.rows.read(columns), self.settings.id
        return row_keys(frame, columns=columns, id_column=id_column, secret=self.secret)
