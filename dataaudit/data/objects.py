"""Tables of other makers: whatever gives an Arrow stream, Hugging Face, and Python's own dicts and lists.

A column of Python objects has the type that all of its values have. Words among numbers make it text, as they
do in a CSV; what is neither is refused by the name of its column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from dataaudit.data.dataset import Wanted, first_line, require_distinct
from dataaudit.data.formats.arrow import pandas_index
from dataaudit.errors import DataError
from dataaudit.escape import shown

_SCALARS: Final = (str, int, float, bool)
_LISTED: Final = 5
_WHERE: Final = "the table"

Read = tuple[pl.DataFrame, list[str], tuple[str, ...]]  # the wanted columns, all names, notes


def is_table(source: object) -> bool:
    """Return whether `source` is a table that is neither of Polars nor of pandas."""
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return bool(source) and isinstance(source[0], Mapping)
    return isinstance(source, Mapping) or _gives_arrow(source) or bool(_hugging_face(source))


def _gives_arrow(source: object) -> bool:
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__")


def _hugging_face(source: object) -> str:
    """Return the name of the class where `source` is of the package datasets."""
    classes = type(source).__mro__
    return next((c.__name__ for c in classes if c.__module__.partition(".")[0] == "datasets"), "")


def kind_of(source: object) -> str:
    """Return the name of the library that made a table."""
    name = type(source).__module__.partition(".")[0].removeprefix("_")
    return "python" if isinstance(source, dict | list | tuple) and name != "datasets" else name


def read_table(source: Any, wanted: Wanted) -> Read:
    """Take the wanted columns of a table."""
    maker = _hugging_face(source)
    if maker == "Dataset":
        return _of_dataset(source, wanted)
    if maker.endswith("DatasetDict"):
        splits = ", ".join(shown(str(split)) for split in source)
        raise DataError(
            f"a dataset of {len(source)} splits was given: {splits}", "give one of them: data['train']"
        )
    if maker:
        raise DataError(
            f"a {maker} of Hugging Face cannot be read", "give a Dataset: Dataset.from_list(list(rows))"
        )
    if _gives_arrow(source):
        return _of_stream(source, wanted)
    return _of_columns(source, wanted) if isinstance(source, Mapping) else _of_records(source, wanted)


def _of_dataset(source: Any, wanted: Wanted) -> Read:
    from dataaudit.data.formats.huggingface import with_names  # noqa: PLC0415 - few tables are such

    names = list(source.column_names)
    chosen = wanted.choose(names, _WHERE)
    frame = _polars(source.select_columns(chosen).with_format("arrow")[:])
    labels = {
        name: tuple(feature.names)
        for name, feature in source.features.items()
        if type(feature).__name__ == "ClassLabel" and feature.names
    }
    frame, notes = with_names(frame, labels)
    return frame, names, notes


def _of_stream(source: Any, wanted: Wanted) -> Read:
    """Read a stream, once: there are some that give their rows only then."""
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second

    try:
        if hasattr(source, "__arrow_c_stream__"):
            table = pa.RecordBatchReader.from_stream(source).read_all()
        else:
            table = pa.table(pa.record_batch(source))
    except Exception as error:  # every library raises errors of its own
        what = f"the table of {kind_of(source)} cannot be read: {first_line(error)}"
        raise DataError(what, "give a whole table, not one column of it") from error
    if not table.num_rows:
        what = f"the table of {kind_of(source)} has no rows"
        raise DataError(what, "give a table with rows: a stream gives them only once")
    names = table.column_names
    require_distinct(names, _WHERE)
    kept, notes = wanted.without_index(names, pandas_index((table.schema.metadata or {}).get(b"pandas")))
    return _polars(table.select(wanted.choose(kept, _WHERE))), names, notes


def _polars(table: Any) -> pl.DataFrame:
    """Convert a table of pyarrow, column by column where it does not go at once."""
    try:
        frame = pl.from_arrow(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError) as error:
        for name in table.column_names:
            try:
                pl.from_arrow(table.select([name]))
            except BaseException as one:
                what = f"column {name!r} of the table cannot be read: {first_line(one)}"
                raise DataError(what, "exclude it, or cast it to text or numbers") from one
        raise DataError(f"the table cannot be read: {first_line(error)}", "write it as Parquet") from error
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _of_columns(source: Mapping[Any, Any], wanted: Wanted) -> Read:
    """Take columns by name: lists, arrays, or dicts by row as pandas' ``to_dict`` gives them."""
    given = {str(name): values for name, values in source.items()}
    require_distinct([str(name) for name in source], _WHERE)
    columns = {}
    for name in wanted.choose(list(given), _WHERE):
        values = given[name]
        values = list(values.values()) if isinstance(values, Mapping) else values
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            what = f"column {name!r} is a {type(values).__name__}, not the values of all rows"
            raise DataError(what, "give one list a column: {'x': [1, 2], 'y': ['a', 'b']}")
        columns[name] = values
    lengths = {name: len(values) for name, values in columns.items()}
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise DataError(f"column {name!r} has {length:,} rows, {first!r} has {rows:,}", "give all rows")
    return _read(columns, list(given))


def _of_records(source: Sequence[Any], wanted: Wanted) -> Read:
    """Take rows; a name that a row lacks is missing there."""
    for at, row in enumerate(source):
        if not isinstance(row, Mapping):
            raise DataError(f"row {at} is a {type(row).__name__}, not a dict", "give one dict a row")
    names = list(dict.fromkeys(str(name) for row in source for name in row))
    return _read({name: [row.get(name) for row in source] for name in wanted.choose(names, _WHERE)}, names)


def _read(columns: Mapping[str, Any], names: list[str]) -> Read:
    done, notes = list[pl.Series](), list[str]()
    for name, values in columns.items():
        column, note = column_of(name, values)
        done.append(column)
        notes += [note] if note else []
    return pl.DataFrame(done), names, tuple(notes)


def column_of(name: str, values: Iterable[Any]) -> tuple[pl.Series, str]:
    """Return values as a column of one type, and a note where words stand among numbers."""
    try:
        column = pl.Series(name, values, nan_to_null=True, strict=True)
        if column.dtype != pl.Object:
            return column, ""
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        pass
    cells = [value.item() if isinstance(value, np.generic) else value for value in values]
    cells = [None if _is_missing(cell) else cell for cell in cells]
    if not any(cell is not None for cell in cells):
        return pl.Series(name, cells, pl.Null), ""
    types = {type(cell) for cell in cells if cell is not None}
    kinds = " and ".join(sorted(kind.__name__ for kind in types)[:_LISTED])
    if types <= {int, float, bool}:
        return pl.Series(name, [None if cell is None else float(cell) for cell in cells], pl.Float64), ""
    if all(issubclass(kind, _SCALARS) for kind in types):
        texts = [None if cell is None else str(cell) for cell in cells]
        note = f"Column {name!r} mixes {kinds}: it is read as text."
        return pl.Series(name, texts, pl.String), note if len(types) > 1 else ""
    what = f"column {name!r} holds Python objects of type {kinds}"
    raise DataError(what, "exclude it, or make it text or numbers")


def _is_missing(value: Any) -> bool:
    """Whether a cell is None, NaN, or what pandas writes for these."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - nan is not itself
