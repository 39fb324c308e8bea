"""SQL conditions on the rows of a table, such as ``hospital = 3 and age > 60``.

Columns that are no feature can be named too: those that are excluded are read for the condition, and leave
the table once it is answered. ``row_id`` and ``row`` are the name of a row and its number in its file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data.dataset import Dataset
from dataaudit.errors import MissingColumn, SettingError
from dataaudit.options import PairOptions

Mask = NDArray[np.bool_]
OWN = ("row_id", "row")  # columns that every table has for a condition


def columns_of(*conditions: str | None) -> tuple[str, ...]:
    """Return the columns of the data that conditions name; none of what is no SQL, which is refused later."""
    found: dict[str, None] = {}
    for condition in filter(None, conditions):
        try:
            found |= dict.fromkeys(pl.sql_expr(condition).meta.root_names())
        except pl.exceptions.PolarsError:
            continue
    return tuple(name for name in found if name not in OWN)


def fulfilling(data: Dataset, condition: str, *, option: str, whose: str) -> Mask:
    """Return which rows fulfil a condition; a row whose cells leave it open does not."""  # -> (n,)
    own = {name: getattr(data, name) for name in OWN if name not in data.frame.columns}
    named = columns_of(condition)
    for name in named:
        if name not in (*own, *data.frame.columns):
            raise MissingColumn(name, data.frame.columns, f"the {whose} rows")
    frame = pl.DataFrame({**{name: data.frame[name] for name in named}, **own})
    try:
        mask = frame.with_columns(pl.sql_expr(condition).alias("__asked"))["__asked"]
    except pl.exceptions.PolarsError as error:
        first = str(error).partition("\n")[0]
        raise SettingError(f"{option} cannot be read: {first}", "write e.g. \"age\" = '[0-10)'") from error
    if mask.dtype != pl.Boolean:
        what = f"{option} is no condition: {condition!r} gives {mask.dtype}"
        raise SettingError(what, 'compare it with something, as in "age > 60"')
    return mask.fill_null(value=False).to_numpy()


def some_fulfilling(data: Dataset, condition: str, *, option: str, whose: str) -> Mask:
    """Return which rows fulfil a condition; at least one has to."""  # -> (n,)
    found = fulfilling(data, condition, option=option, whose=whose)
    if not found.any():
        raise SettingError(f"no {whose} row fulfils {condition!r}", "check the condition")
    return found


def without_extra(data: Dataset, settings: PairOptions) -> Dataset:
    """Return the rows without columns that were read for a condition alone."""
    columns, named = settings.columns, columns_of(*settings.conditions)
    kept = {*columns.features, *columns.text, *columns.categorical, settings.label}
    extra = [name for name in named if name in columns.exclude or (columns.features and name not in kept)]
    return replace(data, frame=data.frame.drop(extra, strict=False)) if extra else data
