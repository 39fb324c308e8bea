"""Spreadsheets (``.xlsx``, ``.xls``, ``.xlsb``, ``.ods``): the one sheet that has data, from its header on.

Above a header people write titles and dates. It is the first row with as many cells as any row that follows
soon; one fewer where its first cell is empty, as pandas writes an index. Types are those of the cells; a
sheet knows no whole numbers, so a column of numbers that are all whole is one of whole numbers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Origin, Part, Wanted, id_as_text, one_file, require_distinct
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

if TYPE_CHECKING:
    from fastexcel import ExcelReader

_LOOKED_AT: Final = 20  # rows among which the header is
_LISTED: Final = 5
_EXACT: Final = 2.0**53  # below it, every whole number is itself
_AS_CSV: Final = "save the sheet as CSV"


def read_excel(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of a spreadsheet."""
    reader = _opened(blob)
    try:
        filled = {name: rows for name in reader.sheet_names if (rows := _texts(reader, name)).height}
        if not filled:
            raise DataError(f"{blob.name} has no sheet with data", "give one that holds a table")
        if len(filled) > 1:
            listed = ", ".join(map(shown, list(filled)[:_LISTED])) + (", …" if len(filled) > _LISTED else "")
            raise DataError(
                f"{blob.name} has {len(filled)} sheets with data: {listed}",
                "save the one to audit as CSV, or as a file of its own",
            )
        sheet, texts = next(iter(filled.items()))
        at = _header_row(texts)
        rows = reader.load_sheet(
            sheet, header_row=None, skip_rows=at + 1, schema_sample_rows=None
        ).to_polars()
    except _trouble() as error:
        cause = shown(str(error).split("\n", 1)[0])
        raise UnreadableFile(f"{blob.name} is not a readable spreadsheet: {cause}", _AS_CSV) from error
    names, notes = _named(texts, at, blob.name)
    return _part(rows, blob, wanted, names=names, notes=[*notes, *_notes(blob.name, sheet, at)])


def _opened(blob: Blob) -> ExcelReader:
    try:
        import fastexcel  # noqa: PLC0415 - an extra
    except ImportError as error:
        hint = f"pip install fastexcel, or {_AS_CSV}"
        raise UnreadableFile(f"{blob.name} is a spreadsheet, for which a package is needed", hint) from error
    logging.getLogger("fastexcel").addHandler(logging.NullHandler())  # of columns without a cell
    try:
        return fastexcel.read_excel(blob.data)
    except _trouble() as error:
        cause = shown(str(error).split("\n", 1)[0])
        raise UnreadableFile(f"{blob.name} is not a readable spreadsheet: {cause}", _AS_CSV) from error


def _trouble() -> tuple[type[Exception], ...]:
    import fastexcel  # noqa: PLC0415 - an extra

    return (fastexcel.FastExcelError, pl.exceptions.PolarsError)


def _texts(reader: Any, sheet: str) -> pl.DataFrame:
    """Return the first rows of a sheet as text, from its very first row on; none where it is empty."""
    read = reader.load_sheet(sheet, header_row=None, skip_rows=0, n_rows=_LOOKED_AT, dtypes="string")
    frame: pl.DataFrame = read.to_polars()
    return frame if frame.width else pl.DataFrame()


def _header_row(texts: pl.DataFrame) -> int:
    """Return the first row that has as many cells as the rows that follow it."""
    rows = list(texts.iter_rows())
    counts = [sum(cell is not None for cell in row) for row in rows]
    for at, count in enumerate(counts):
        if count and count + (rows[at][0] is None) >= max(counts[at + 1 :], default=count):
            return at
    return 0


def _named(texts: pl.DataFrame, at: int, where: str) -> tuple[list[str], list[str]]:
    """Return the names in the header, and a note for each column without one."""
    header = [(cell or "").strip() for cell in texts.row(at)]
    require_distinct([name for name in header if name], f"the header of {where}")
    bare = [i for i, name in enumerate(header) if not name]
    names = [name or f"column_{i + 1}" for i, name in enumerate(header)]
    return names, [f"{where}: column {i + 1} has no name, so it is called {names[i]!r}." for i in bare]


def _notes(where: str, sheet: str, at: int) -> list[str]:
    above = f", whose header is row {at + 1}: what stands above it is left out" if at else ""
    return [f"{where}: the rows are those of sheet {shown(sheet)!r}{above}."]


def _part(frame: pl.DataFrame, blob: Blob, wanted: Wanted, *, names: list[str], notes: list[str]) -> Part:
    """Return the rows that have a cell at all, under the names of the header."""
    names = [*names, *(f"column_{i + 1}" for i in range(len(names), frame.width))]
    places = [i for i, name in enumerate(names) if i < frame.width]
    empty = {names[i] for i in places if frame.to_series(i).null_count() == frame.height}
    bare = {name for name in empty if name == f"column_{names.index(name) + 1}"}
    frame = frame.rename(dict(zip(frame.columns, names, strict=False)))
    known = [name for name in names if name not in bare]
    for name in known:
        if name not in frame.columns:  # a header without a cell below it
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
    notes = [note for note in notes if not any(f"called {name!r}" in note for name in bare)]
    full = frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width else frame
    if full.height < frame.height:
        empty_rows = frame.height - full.height
        rows = f"{empty_rows:,} empty rows were" if empty_rows > 1 else "1 empty row was"
        notes.append(f"{blob.name}: {rows} passed over.")
    full = full.with_columns(_whole(column) for column in full.iter_columns() if column.dtype.is_float())
    full = id_as_text(full.select(wanted.choose(known, blob.name)), wanted.id_column, blob.name)
    kind = blob.suffix.removeprefix(".") or "xls"
    origin = Origin(blob.name, kind + blob.packing, blob.sha256, full.height)
    return one_file(full, origin, names=tuple(known), notes=tuple(notes))


def _whole(numbers: pl.Series) -> pl.Series:
    """Return numbers as whole numbers where all of them are."""
    are = (numbers.round() == numbers) & (numbers.abs() < _EXACT)
    return numbers.cast(pl.Int64) if are.all() else numbers
