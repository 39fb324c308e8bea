"""Columns that are written in the path of a table: ``y=yes/month=01/part-0.parquet``, as Hive began it.

Spark, Dask, Polars and pandas write such folders, and leave the columns out of the files. Every value is text
there, so a type is given to the column over all files: whole numbers, numbers or dates where all values are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote

import polars as pl

from dataaudit.data.dataset import Part, Wanted

_NULL: Final = ("__HIVE_DEFAULT_PARTITION__", "")
_LEVEL: Final = re.compile(r"([^=/\\]+)=(.*)", re.DOTALL)
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # a leading zero makes a code of it
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DATE: Final = "%Y-%m-%d"
_TIME: Final = "%Y-%m-%d %H:%M:%S%.f"

Levels = dict[str, str | None]  # column → value of one path


@dataclass(frozen=True, slots=True)
class PathColumns:
    """The columns that the paths of some files hold."""

    levels: tuple[Levels, ...]  # those that are taken, of each file
    names: tuple[str, ...]  # all of them, taken or not

    @property
    def taken(self) -> list[str]:
        """The names of those that are taken."""
        return list(dict.fromkeys(name for one in self.levels for name in one))

    def added(self, parts: Sequence[Part], wanted: Wanted) -> list[Part]:
        """Return the parts, one a file, with the columns of their paths."""
        types = {name: _typed([one[name] for one in self.levels if name in one]) for name in self.taken}
        both = dict.fromkeys(
            name for part, own in zip(parts, self.levels, strict=True) for name in own if name in part.names
        )
        notes = [f"Column {name!r} is in the path and in the files: the path counts." for name in both]
        if self.taken:
            notes.insert(0, f"Read from the names of folders: {', '.join(map(repr, self.taken))}.")
        done = []
        for part, own in zip(parts, self.levels, strict=True):
            frame = part.frame
            if wanted.columns is not None:  # where all of these are in the path, the whole file was read
                frame = frame.select(name for name in frame.columns if name in wanted.asked)
            columns = [
                types[name][value].new_from_index(0, part.frame.height).alias(name)
                for name, value in own.items()
            ]
            # A frame without columns has no rows left; one that is scanned has them still.
            frame = frame.with_columns(columns) if frame.height else pl.DataFrame(columns)
            names = tuple(dict.fromkeys((*part.names, *self.names)))
            done.append(replace(part, frame=frame, names=names, notes=(*part.notes, *notes)))
        return done


def path_columns(paths: Sequence[str], wanted: Wanted) -> PathColumns:
    """Return the columns in the paths of files.

    A value that is the same in all paths says nothing, and may be of a folder far above: it is taken only if
    it is asked for.
    """
    levels = [levels_of(path) for path in paths]
    names = tuple(dict.fromkeys(name for one in levels for name in one))
    vary = {name for name in names if len({one.get(name, "=") for one in levels}) > 1}
    free = vary - set(wanted.exclude) if wanted.columns is None else set()
    take = free.union(wanted.asked)
    return PathColumns(
        tuple({name: value for name, value in one.items() if name in take} for one in levels), names
    )


def levels_of(path: str) -> Levels:
    """Return the columns that the folders of a path name, the outermost first."""
    found = (_LEVEL.fullmatch(part) for part in PurePath(path).parts[:-1])
    pairs = ((unquote(level[1]), level[2]) for level in found if level)
    return {name: None if value in _NULL else unquote(value) for name, value in pairs}


def _typed(values: list[str | None]) -> dict[str | None, pl.Series]:
    """Return each value as a column of one row, of the type that all of them have."""
    distinct = list(dict.fromkeys(values))
    texts = pl.Series(distinct, dtype=pl.String)
    present = [value for value in distinct if value is not None]
    typed = texts
    if present and all(map(_WHOLE.fullmatch, present)):
        typed = texts.cast(pl.Int64)
    elif present and all(map(_NUMBER.fullmatch, present)):
        typed = texts.cast(pl.Float64)
    elif present:
        for dates in (
            texts.str.to_date(_DATE, strict=False),
            texts.str.to_datetime(_TIME, strict=False, time_unit="us"),
        ):
            typed = dates if dates.null_count() == texts.null_count() else typed
    return {value: typed.slice(i, 1) for i, value in enumerate(distinct)}
