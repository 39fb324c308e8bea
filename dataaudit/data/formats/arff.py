"""ARFF, the format of Weka and OpenML: a header that gives names and types, then rows, dense or sparse.

SciPy's reader takes neither text nor sparse rows, and liac-arff has had no release since 2020; the grammar is
small. A row is a line, so rows are named by their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Origin, Part, Wanted, id_as_text, one_file, require_distinct
from dataaudit.data.formats.lines import check_text
from dataaudit.errors import UnreadableFile
from dataaudit.escape import shown

_QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE: Final = re.compile(rf"@attribute\s+({_QUOTED}|\S+?)\s*(\{{.*|\s\S.*)$", re.IGNORECASE)
_BARE: Final = r"(?:[^\s,'\"][^,]*?)?"
_VALUE: Final = re.compile(rf"\s*({_QUOTED}|{_BARE})\s*(?:,|$)")
_PAIR: Final = re.compile(rf"\s*(\d+)\s+({_QUOTED}|{_BARE})\s*(?:,|$)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN: Final = re.compile(r"['\"\\%{]")  # of none of these: a line is split at its commas
_CONTROL: Final = {"n": "\n", "t": "\t", "r": "\r"}
_JAVA: Final = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_ISO: Final = "yyyy-MM-dd'T'HH:mm:ss"
_HINT: Final = "fix that line, or write the table as CSV"

Cell = str | None


@dataclass(frozen=True, slots=True)
class _Attribute:
    """One column."""

    name: str
    kind: str  # "number", "whole", "text", or the pattern of a date
    blank: Cell = "0"  # what a sparse row has where it says nothing


def read_arff(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of an ARFF file."""
    text = check_text(blob.data, blob.name).decode()
    attributes, rows, lines = _taken_apart(text, blob.name)
    names = [attribute.name for attribute in attributes]
    require_distinct(names, f"the header of {blob.name}")
    chosen = set(wanted.choose(names, blob.name))
    columns = [
        _typed([row[at] for row in rows], attribute, lines, blob.name)
        for at, attribute in enumerate(attributes)
        if attribute.name in chosen
    ]
    frame = id_as_text(pl.DataFrame(columns), wanted.id_column, blob.name)
    origin = Origin(blob.name, "arff" + blob.packing, blob.sha256, frame.height)
    places = np.array(lines, np.int64)
    return one_file(frame, origin, names=tuple(names), lines=places, textual=False)


def _taken_apart(text: str, where: str) -> tuple[list[_Attribute], list[list[Cell]], list[int]]:
    """Return the columns, the cells of every row, and the line of each."""
    attributes, rows, lines = list[_Attribute](), list[list[Cell]](), list[int]()
    blanks: list[Cell] = []
    data = False
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("%"):
            continue
        place = f"{where} line {number}"
        if data:
            rows.append(_row(line, attributes, blanks, place))
            lines.append(number)
        elif line.lower().startswith("@attribute"):
            attributes.append(_attribute(line, place))
        elif line.lower().startswith("@data") and attributes:
            data, blanks = True, [attribute.blank for attribute in attributes]
        elif not line.lower().startswith("@relation"):
            raise UnreadableFile(f"{place} stands where @relation, @attribute and then @data do", _HINT)
    if not data:
        raise UnreadableFile(f"{where} is not a whole ARFF file: it has no @data", "fetch it again")
    return attributes, rows, lines


def _attribute(line: str, place: str) -> _Attribute:
    found = _ATTRIBUTE.match(line)
    if found is None:
        raise UnreadableFile(f"{place} gives a column no name or no type", _HINT)
    name, said = _plain(found[1]), found[2].strip()
    kind = said.split(maxsplit=1)[0].lower()
    if said.startswith("{"):
        values = _cells(said[1:].rpartition("}")[0])
        return _Attribute(name, "text", values[0] if values else None)
    if kind in ("numeric", "real"):
        return _Attribute(name, "number")
    if kind == "integer":
        return _Attribute(name, "whole")
    if kind == "string":
        return _Attribute(name, "text", None)
    if kind == "date":
        pattern = said[len("date") :].strip()
        return _Attribute(name, _strptime(_plain(pattern) if pattern else _ISO), None)
    what = f"{place}: column {shown(name)!r} is of type {shown(said)!r}, which is no cell of a table"
    raise UnreadableFile(what, "leave it out of the file, or write the table as CSV")


def _row(line: str, attributes: list[_Attribute], blanks: list[Cell], place: str) -> list[Cell]:
    if line.startswith("{"):
        row = list(blanks)
        for at, cell in _pairs(line[1:].rpartition("}")[0], place):
            if at >= len(row):
                what = f"{place} has a value for column {at}, counted from 0, and there are {len(row)}"
                raise UnreadableFile(what, _HINT)
            row[at] = cell
        return row
    row = _cells(line)
    if len(row) == len(attributes) + 1 and line.endswith("}"):
        row.pop()  # the weight of the row, in braces
    if len(row) != len(attributes):
        what = f"{place} has {len(row)} values where the header has {len(attributes)} columns"
        raise UnreadableFile(what, _HINT)
    return row


def _cells(text: str) -> list[Cell]:
    """Return the values of a row."""
    if not _PLAIN.search(text):
        return [_value(cell.strip()) for cell in text.split("," if "," in text else "\t")]
    cells, at = list[Cell](), 0
    while at < len(text):
        found = _VALUE.match(text, at)
        if found is None:  # text after a closing quote
            return []
        cells.append(_value(found[1]))
        at = found.end()
    return [*cells, None] if text.endswith(",") else cells


def _pairs(text: str, place: str) -> Iterator[tuple[int, Cell]]:
    """Yield place and value of the cells that a sparse row names."""
    at = 0
    while text[at:].strip():
        found = _PAIR.match(text, at)
        if found is None:
            raise UnreadableFile(f"{place} is not a sparse row: got {shown(text[at:][:30])!r}", _HINT)
        yield int(found[1]), _value(found[2])
        at = found.end()


def _value(text: str) -> Cell:
    return None if text in ("?", "") else _plain(text)


def _plain(text: str) -> str:
    """Return a name or value without its quotes and escapes."""
    if text[:1] not in ("'", '"'):
        return text
    return _ESCAPE.sub(lambda found: _CONTROL.get(found[1], found[1]), text[1:-1])


def _strptime(java: str) -> str:
    """Return a pattern of Java's dates as one of ours."""
    parts = re.split(r"('(?:[^'])*')", java)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub("|".join(_JAVA), lambda found: _JAVA[found[0]], parts[i])
    return "".join(part.strip("'") if i % 2 else part for i, part in enumerate(parts))


def _typed(cells: list[Cell], attribute: _Attribute, lines: list[int], where: str) -> pl.Series:
    """Return a column by its type."""
    texts = pl.Series(attribute.name, cells, dtype=pl.String)
    match attribute.kind:
        case "text":
            return texts
        case "number" | "whole":
            done = texts.cast(pl.Float64, strict=False)
            whole = attribute.kind == "whole" and bool((done.round() == done).all())
            done = done.cast(pl.Int64, strict=False) if whole else done
        case pattern:
            done = texts.str.to_datetime(pattern, strict=False, time_unit="us")
    bad = done.is_null() & texts.is_not_null()
    if bad.any():
        at = int(bad.arg_true()[0])
        what = f"{where} line {lines[at]}: column {shown(attribute.name)!r} cannot hold {shown(texts[at])!r}"
        raise UnreadableFile(what, "fix that cell: ? is how a missing one is written")
    return done.fill_nan(None) if done.dtype.is_float() else done
