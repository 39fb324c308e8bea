"""What the text cells of a delimited file mean where Polars leaves it open: codes, missing words, dates."""

from __future__ import annotations

import numpy as np
import polars as pl

from dataaudit.sources.wanted import shown

# Cells that say "missing" in a column of numbers or dates. In a column of words they stay, as a level.
MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", ".", "")
CODE = r"^[+-]?(0[0-9]|[0-9]{19})"  # a leading zero, or more digits than 64 bits hold: no quantity
_SAMPLE = 200  # cells looked at before a whole column is tried
_DATES = ("%Y-%m-%d", "%Y/%m/%d")
_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")


def unlike_numbers(body: bytes, separator: bytes, *, frame: pl.DataFrame) -> list[str]:
    """Return the integer columns of `frame` that might be codes: leading zeros somewhere, or too long.

    Parameters
    ----------
    body : bytes
        The file's records.
    separator : bytes
        One byte.
    frame : pl.DataFrame
        Its columns as Polars typed them.

    Returns
    -------
    list of str
        Columns to look at as text.
    """
    integers = [name for name, dtype in frame.schema.items() if dtype.is_integer()]
    long = [name for name in integers if frame.schema[name] == pl.Int128]
    return integers if integers and _has_leading_zero(body, separator) else long


def _has_leading_zero(body: bytes, separator: bytes) -> bool:
    """Whether any field begins with 0 and a digit: one pass over the bytes spares most files a reparse."""
    array = np.frombuffer(body, np.uint8)
    zeros = np.flatnonzero(array[:-1] == ord("0"))
    following = array[zeros + 1]
    zeros = zeros[(following >= ord("0")) & (following <= ord("9"))]
    before = array[np.maximum(zeros - 1, 0)]
    starts = (zeros == 0) | np.isin(before, np.frombuffer(separator + b'\n"+-', np.uint8))
    return bool(starts.any())


def tidy(
    frame: pl.DataFrame, *, keep: set[str], decimal_comma: bool, target: str
) -> tuple[pl.DataFrame, list[str]]:
    """Set the types that Polars leaves as text, and make empty cells null.

    Parameters
    ----------
    frame : pl.DataFrame
        Columns of a delimited file.
    keep : set of str
        Columns to leave as they are.
    decimal_comma : bool
        Whether 1,5 is a number.
    target : str
        Label column, in which dates stay text.

    Returns
    -------
    frame : pl.DataFrame
        Same columns and rows.
    notes : list of str
        What was decided.
    """
    columns, notes = [], []
    for column in frame.iter_columns():
        done, note = column, ""
        if column.name in keep:
            pass
        elif column.dtype.is_float():
            done = column.fill_nan(None)  # a cell that reads NaN is an empty cell
        elif column.dtype == pl.String:
            empty = column.str.len_bytes() == 0
            cells = pl.select(pl.when(empty).then(None).otherwise(column).alias(column.name)).to_series()
            done, note = _typed(cells, decimal_comma=decimal_comma, dates=column.name != target)
        columns.append(done)
        if note:
            notes.append(note)
    return pl.DataFrame(columns), notes


def _typed(cells: pl.Series, *, decimal_comma: bool, dates: bool) -> tuple[pl.Series, str]:
    """Return the column as numbers or dates where all of its cells are such or missing, else as it is."""
    present = cells.drop_nulls()
    if not len(present) or not _is_all(present.head(_SAMPLE), decimal_comma, dates):
        return cells, ""
    trimmed = cells.str.strip_chars()
    missing = trimmed.str.to_lowercase().is_in(MISSING).fill_null(value=True)
    values = pl.select(pl.when(~missing).then(trimmed).alias(cells.name)).to_series()
    if values.null_count() == len(values):
        return cells, ""  # nothing to go by
    done = _numbers(values, decimal_comma)
    if done is None and dates:
        done = _dates(values)
    if done is None:
        return cells, ""
    codes = values.filter(values.str.contains(CODE).fill_null(value=False))
    if len(codes):
        example = shown(codes[0])
        return (
            cells,
            f"column {cells.name!r} is kept as text, since {example} is a code rather than a number.",
        )
    words = trimmed.filter(missing & trimmed.is_not_null()).unique().sort().head(3).to_list()
    count = done.null_count() - cells.null_count()
    if not count:
        return done, ""
    quoted = " or ".join(repr(shown(word)) for word in words)
    cells_read = f"{count:,} cells that read" if count > 1 else "1 cell that reads"
    return (
        done,
        f"column {cells.name!r}: {cells_read} {quoted} {'are' if count > 1 else 'is'} taken as missing.",
    )


def _is_all(sample: pl.Series, decimal_comma: bool, dates: bool) -> bool:
    trimmed = sample.str.strip_chars()
    values = trimmed.filter(~trimmed.str.to_lowercase().is_in(MISSING))
    return _numbers(values, decimal_comma) is not None or (dates and _dates(values) is not None)


def _numbers(values: pl.Series, decimal_comma: bool) -> pl.Series | None:
    if decimal_comma:
        points = values.str.contains(".", literal=True).any()
        values = values if points else values.str.replace(",", ".", literal=True)
    for dtype in (pl.Int64, pl.Float64):
        numbers = values.cast(dtype, strict=False)
        if numbers.null_count() == values.null_count():
            return numbers.fill_nan(None) if dtype == pl.Float64 else numbers
    return None


def _dates(values: pl.Series) -> pl.Series | None:
    for pattern in (*_DATES, *_TIMES, *_ZONED):
        dates = (
            values.str.to_date(pattern, strict=False)
            if pattern in _DATES
            else values.str.to_datetime(pattern, strict=False, time_unit="us")
        )
        if dates.null_count() == values.null_count():
            return dates
    return None
