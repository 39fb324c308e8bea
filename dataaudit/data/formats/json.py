"""NDJSON, JSON arrays, and JSON objects one after another."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Lines, Origin, Part, Wanted, id_as_text, one_file
from dataaudit.data.formats.lines import check_text, index_lines
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

_BETWEEN = re.compile(r"[\s,]*")
_HINT = "give one object per row: NDJSON, or an array of objects"


def read_json(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of NDJSON (by Polars), or of any other JSON records (by Python's json)."""
    data = check_text(blob.data, blob.name)
    lines = index_lines(data).lines
    ndjson = (
        _read_lines(data, wanted, blob.name) if len(lines) > 1 and data.lstrip().startswith(b"{") else None
    )
    if ndjson is not None and ndjson[0].height == len(lines):
        frame, names = ndjson
        kind = "ndjson"
    else:
        frame, names, lines = _read_records(data.decode(), wanted, blob.name)
        kind = "json"
    frame = _codes_as_text(id_as_text(frame, wanted.id_column, blob.name))
    origin = Origin(blob.name, kind + blob.packing, blob.sha256, frame.height)
    return one_file(frame, origin, names=names, lines=lines, textual=True)


def _read_lines(data: bytes, wanted: Wanted, where: str) -> tuple[pl.DataFrame, tuple[str, ...]] | None:
    """Read NDJSON; None if Polars cannot, so that Python's json says why, or can."""
    try:
        scan = pl.scan_ndjson(data, infer_schema_length=None)
        names = scan.collect_schema().names()
        return scan.select(wanted.choose(names, where)).collect(), tuple(names)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _read_records(text: str, wanted: Wanted, where: str) -> tuple[pl.DataFrame, tuple[str, ...], Lines]:
    records, lines = _decode(text, where)
    if not records:
        raise DataError(f"{where} holds no records", "give a table with rows")
    names = list(dict.fromkeys(key for record in records for key in record))
    if len(records) == 1 and all(isinstance(value, dict | list) for value in records[0].values()):
        raise UnreadableFile(
            f"{where} is one object of {shown(', '.join(map(repr, names[:3])))}, not one object per row",
            'write it with orient="records", or take the rows out: jq -c ".data[]"',
        )
    columns = []
    for name in wanted.choose(names, where):
        values = [record.get(name) for record in records]
        try:
            columns.append(
                pl.DataFrame([{name: value} for value in values], infer_schema_length=None).to_series()
            )
        except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
            kinds = " and ".join(sorted({type(value).__name__ for value in values if value is not None}))
            raise DataError(
                f"column {name!r} of {where} mixes {kinds}", "give all rows the same type"
            ) from error
    return pl.DataFrame(columns), tuple(names), np.array(lines, np.int64)


def _decode(text: str, where: str) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the objects of an array or of a sequence, and the line at which each starts."""
    decoder = json.JSONDecoder()
    records, lines = [], []
    at, line, end = 0, 1, len(text.rstrip())
    array = text.lstrip().startswith("[")
    start = text.index("[") + 1 if array else 0
    while (start := _skip(text, start)) < end and not (array and text[start] == "]"):
        line, at = line + text.count("\n", at, start), start
        try:
            record, start = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _not_json(error, line, where) from error
        if not isinstance(record, dict):
            raise UnreadableFile(
                f"{where} line {line} holds {shown(repr(record))[:40]}, not an object", _HINT
            )
        records.append(record)
        lines.append(line)
    if array and text[start : start + 1] != "]":
        raise UnreadableFile(f"{where} is cut short: its array never closes", "fetch the file again")
    if array and start + 1 < end:
        bad = text.count("\n", 0, _skip(text, start + 1)) + 1
        raise UnreadableFile(f"{where} line {bad} goes on after its array has closed", _HINT)
    return records, lines


def _not_json(error: json.JSONDecodeError | RecursionError, line: int, where: str) -> UnreadableFile:
    if isinstance(error, RecursionError):
        return UnreadableFile(f"{where} line {line} is nested too deep", _HINT)
    place = f", on line {error.lineno}" if error.lineno != line else ""
    return UnreadableFile(
        f"{where}: the record at line {line} is not JSON: {error.msg}{place}", "fix that record"
    )


def _skip(text: str, start: int) -> int:
    found = _BETWEEN.match(text, start)
    return found.end() if found else start


def _codes_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return numbers too long for 64 bits as text: they name things, and no model takes them."""
    return frame.with_columns(pl.col(pl.Int128).cast(pl.String))
