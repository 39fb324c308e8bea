"""The one way in: whatever holds a table, to a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataaudit.errors import DataError
from dataaudit.sources.blob import open_blob
from dataaudit.sources.combine import combine
from dataaudit.sources.dataset import Dataset
from dataaudit.sources.find import find
from dataaudit.sources.frames import is_frame, read_frame
from dataaudit.sources.sql import Query, read_query
from dataaudit.sources.tables import read_table
from dataaudit.sources.texts import read_texts
from dataaudit.sources.wanted import Wanted


def load(
    source: Any,
    *,
    target: str,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    id_column: str | None = None,
) -> Dataset:
    """Read a table, name its rows, and state what was decided on the way.

    Parameters
    ----------
    source : str, Path, sequence of these, pl.DataFrame, pl.LazyFrame, pandas.DataFrame or Query
        A file (CSV or TSV with any separator, NDJSON, JSON, Parquet, Arrow; also packed by gzip or zstd), a
        glob, a folder of such files, a folder with one folder of text files per class, ``-`` for stdin, a
        frame, or a query on a database.
    target : str
        Label column; for folders of texts, the name to give it.
    columns : sequence of str, optional
        Feature columns; by default all but `exclude`. Columns that are not wanted are not read.
    exclude : sequence of str
        Columns to leave out.
    id_column : str, optional
        Column that names the rows: unique, without nulls. It is no feature.

    Returns
    -------
    Dataset
        With at least one row.

    Raises
    ------
    UnreadableFile
        If a file is absent, empty, cut short, or not of its format.
    MissingColumn
        If a column that was named is not there.
    DataError
        If files do not fit together, ids repeat, or there are no rows.
    SettingError
        If the target is also the id or excluded.

    Examples
    --------
    >>> import polars as pl
    >>> data = load(pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}), target="y")
    >>> data.n, data.row_id.to_list()
    (2, ['<frame>#0', '<frame>#1'])
    """
    wanted = Wanted(target, None if columns is None else tuple(columns), tuple(exclude), id_column)
    if is_frame(source):
        return combine([read_frame(source, wanted)], wanted, notes=())
    query = source if isinstance(source, Query) else None
    paths = [] if query else _paths(source)
    query = query or Query.of_given(paths)
    if query is not None:
        return replace(combine([read_query(query, wanted)], wanted, notes=()), given=query.given)
    found = find(paths, target)
    parts = [read_table(open_blob(path), wanted) for path in found.tables]
    parts += [read_texts(text_class, wanted) for text_class in found.classes]
    return replace(combine(parts, wanted, notes=found.notes), given=tuple(map(str, paths)))


def _paths(source: Any) -> list[str | Path]:
    paths = [source] if isinstance(source, str | Path) else source
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | Path) for path in paths):
        raise DataError(
            f"a {type(source).__name__} cannot be read",
            "give a path, a list of paths, a Query, or a Polars or pandas frame",
        )
    return list(paths)
