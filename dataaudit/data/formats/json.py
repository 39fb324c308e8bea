"""NDJSON, JSON arrays, JSON objects one after another, and the layouts of pandas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Lines, Origin, Part, Wanted, id_as_text, one_file
from dataaudit.data.formats.layout import BETWEEN, DECODER, Layout, by_name, find_layout, named_rows, past
from dataaudit.data.formats.lines import index_lines, read_text
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

_HINT = "give one object per row: NDJSON, or an array of objects"
# Half of a pair, of which Polars makes a null byte.
_HALF = re.compile(rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F](?<!\\u[dD][89abAB]..\\u[dD].))")
_LONG = 1 << 64  # integers from here on are kept as text


def read_json(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of NDJSON (by Polars), or of any other JSON records (by Python's json)."""
    found = read_text(blob.data, blob.name, encoding=wanted.dialect.encoding)
    data, notes = found.data, found.notes
    lines: Lines | None = index_lines(data).lines
    several = lines is not None and len(lines) > 1
    ndjson = _read_lines(data, wanted, blob.name) if several and data.lstrip().startswith(b"{") else None
    if ndjson is not None and lines is not None and ndjson[0].height == len(lines):
        frame, names = ndjson
        kind = "ndjson"
    else:
        columns, lines, index = _read_records(data.decode(), wanted, blob.name)
        columns, kind = {_whole(name): values for name, values in columns.items()}, "json"
        names = tuple(columns)
        kept, more = wanted.without_index(names, index)
        notes = (*notes, *more)
        chosen = [name for name in wanted.choose(names, blob.name) if name in kept]
        frame = pl.DataFrame([_series(name, columns[name], blob.name) for name in chosen])
    frame = _codes_as_text(id_as_text(frame, wanted.id_column, blob.name))
    origin = Origin(blob.name, kind + found.suffix + blob.packing, blob.sha256, frame.height)
    return one_file(frame, origin, names=names, lines=lines, textual=True, notes=notes)


def _read_lines(data: bytes, wanted: Wanted, where: str) -> tuple[pl.DataFrame, tuple[str, ...]] | None:
    """Read NDJSON; None if Polars cannot, so that Python's json says why, or can."""
    try:
        scan = pl.scan_ndjson(data, infer_schema_length=None)
        names = scan.collect_schema().names()
        frame = scan.select(wanted.choose(names, where)).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    null = frame.select(
        pl.any_horizontal(pl.col(pl.String).str.contains("\0", literal=True).any(), pl.lit(False))
    )
    return None if null.item() and _HALF.search(data) else (frame, tuple(names))


def _read_records(
    text: str, wanted: Wanted, where: str
) -> tuple[Mapping[str, list[Any]], Lines | None, tuple[str, ...]]:
    """Return the values by column, the line of each row, and the columns that are an index."""
    layout = find_layout(text, wanted.target, where)
    if layout.kind not in ("records", "values"):
        columns, lines = layout.columns, None
    else:
        rows, numbers = _decode(text, layout, where)
        lines = np.array(numbers, np.int64)
        columns = named_rows(rows, None, where) if layout.kind == "values" and rows else by_name(rows)
        if not rows:
            raise DataError(f"{where} holds no records", "give a table with rows")
    return columns, lines, layout.index


def _series(name: str, values: list[Any], where: str) -> pl.Series:
    """Return a column; integers that no type holds are text."""
    if any(isinstance(value, int) and abs(value) >= _LONG for value in values):
        values = [str(value) if isinstance(value, int) else value for value in values]
    try:
        if all(value is None or _is_vector(value) for value in values):
            values = [value and [None if x is None else float(x) for x in value] for value in values]
        rows = [{name: value} for value in values]
        try:
            return pl.DataFrame(rows, infer_schema_length=None).to_series()
        except UnicodeEncodeError:  # half a character, as where "\ud83d" ends a text that was cut
            return pl.DataFrame(list(map(_whole, rows)), infer_schema_length=None).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, OverflowError) as error:
        kinds = " and ".join(sorted({type(value).__name__ for value in values if value is not None}))
        raise DataError(f"column {name!r} of {where} mixes {kinds}", "give all rows the same type") from error


def _whole(value: Any) -> Any:
    """Return a value with U+FFFD for half a character."""
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_whole, value))
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and all(x is None or type(x) in (int, float) for x in value)


def _decode(text: str, layout: Layout, where: str) -> tuple[list[Any], list[int]]:
    """Return the rows of an array or of a sequence, and the line at which each starts."""
    wants = list if layout.kind == "values" else dict
    rows, lines = [], []
    at, line, end = 0, 1, len(text.rstrip())
    start, array = layout.start, layout.array
    while (start := past(BETWEEN, text, start)) < end and not (array and text[start] == "]"):
        line, at = line + text.count("\n", at, start), start
        try:
            row, start = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise _not_json(error, line, where) from error
        if not isinstance(row, wants):
            noun = "array" if wants is list else "object"
            raise UnreadableFile(f"{where} line {line} holds {shown(repr(row))[:40]}, not an {noun}", _HINT)
        rows.append(row)
        lines.append(line)
    if array and text[start : start + 1] != "]":
        raise UnreadableFile(f"{where} is cut short: its array never closes", "fetch the file again")
    if array and not layout.key and start + 1 < end:
        bad = text.count("\n", 0, past(BETWEEN, text, start + 1)) + 1
        raise UnreadableFile(f"{where} line {bad} goes on after its array has closed", _HINT)
    return rows, lines


def _not_json(error: ValueError | RecursionError, line: int, where: str) -> UnreadableFile:
    if isinstance(error, RecursionError):
        return UnreadableFile(f"{where} line {line} is nested too deep", _HINT)
    if not isinstance(error, json.JSONDecodeError):  # an integer of more digits than Python converts
        return UnreadableFile(f"{where}: the record at line {line} has a number too long", "quote it")
    place = f", on line {error.lineno}" if error.lineno != line else ""
    return UnreadableFile(
        f"{where}: the record at line {line} is not JSON: {error.msg}{place}", "fix that record"
    )


def _codes_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return numbers too long for 64 bits as text: they name things, and no model takes them."""
    return frame.with_columns(pl.col(pl.Int128).cast(pl.String))
