"""CSV and its kin: any separator, quoted newlines, physical lines, and clear words for a broken row.

What text cells mean where Polars leaves it open is decided here: codes, words for "missing", dates.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import (
    Lines,
    Origin,
    Part,
    Wanted,
    id_as_text,
    one_file,
    readable,
    require_distinct,
)
from dataaudit.data.formats.header import SEPARATORS, Heading, column_name, find_heading, looks_like_data
from dataaudit.data.formats.lines import Records, index_records, read_text
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

_INFER_ALL = 1 << 28  # bytes up to which types are inferred from every row: about 4 s on one core
_INFER_SOME = 10_000  # rows looked at in a larger file; if a later one disagrees, all are
_LONGEST_FIELD = 2**31 - 1  # bytes: what fits a C long everywhere
_LONGEST_LINE = 1 << 16  # bytes of a first line that are looked at
_HINT = "check its quoting, or save it again as CSV"

# Cells that say "missing" in a column of numbers or dates. In a column of words they stay, as a level.
_MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", ".", "")
_CODE = r"^[+-]?(0[0-9]|[0-9]{19})"  # a leading zero, or more digits than 64 bits hold: no quantity
_SAMPLE = 200  # cells looked at before a whole column is tried
_DATES = ("%Y-%m-%d", "%Y/%m/%d")
_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")


@dataclass(frozen=True, slots=True)
class _Text:
    """A delimited text before it is taken apart."""

    data: bytes  # from its header on
    heading: Heading
    name: str

    @property
    def separator(self) -> bytes:
        return self.heading.separator

    def place(self, line: int) -> str:
        """Name a line of `data`, from 1, as a line of the file."""
        return f"{self.name} line {line + self.heading.before}"


@dataclass(frozen=True, slots=True)
class _Table:
    """A delimited text taken apart: header, records as bytes, and where each began."""

    names: tuple[str, ...]
    body: bytes  # the records after the header, none blank, each with `width` fields
    lines: Lines  # (n,) physical line of each record in the file
    width: int  # as many as `names`, or one more where every record ends with a separator
    notes: tuple[str, ...] = ()


def read_delimited(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of a CSV, TSV or the like."""
    found = read_text(blob.data, blob.name, encoding=wanted.dialect.encoding)
    whole = found.data
    heading = find_heading(
        whole,
        target=wanted.target,
        tabbed=blob.suffix in (".tsv", ".tab"),
        absent=wanted.dialect.no_header,
    )
    text = _Text(whole[heading.start :] if heading.start else whole, heading, blob.name)
    try:
        frame, table, notes = _read(text, wanted)
    except UnreadableFile:
        raise
    except DataError as error:  # the header lacks a column, or has one twice
        if not looks_like_data(whole, heading):
            raise
        raise error.hinted(_offer(text, wanted)) from error
    kind = ("tsv" if text.separator == b"\t" else "csv") + found.suffix
    said = [*found.notes, *table.notes, *(f"{blob.name}: {note}" for note in notes)]
    if _is_cell(wanted.target, frame) and looks_like_data(whole, heading):
        said.append(f"{blob.name}: {_offer(text, wanted)}.")
    return _part(frame, table, blob, kind=kind, notes=said)


def _read(text: _Text, wanted: Wanted) -> tuple[pl.DataFrame, _Table, list[str]]:
    """Take a text apart and parse it; return the frame, and notes on the cells."""
    records = index_records(text.data, text.separator)
    table = _by_index(text, records) if records else None
    frame, notes = None, list[str]()
    if table is not None:
        try:
            frame, notes = _cells(table, text.separator, wanted, where=text.name)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            table = None  # Polars reads its quoting otherwise: go the long way
    if table is None or frame is None or frame.height != len(table.lines):
        table = _by_walking(text)
        with readable(f"{text.name} is not a readable table", _HINT):
            frame, notes = _cells(table, text.separator, wanted, where=text.name)
    return frame, table, notes


def _part(frame: pl.DataFrame, table: _Table, blob: Blob, *, kind: str, notes: list[str]) -> Part:
    lines: Lines | None = table.lines
    if frame.height != len(table.lines):
        lines = None
        notes.append(
            f"{blob.name}: its lines could not be found ({len(table.lines)} records found, {frame.height} "
            "rows read), so its rows are named by number."
        )
    origin = Origin(blob.name, kind + blob.packing, blob.sha256, frame.height)
    return one_file(frame, origin, names=table.names, lines=lines, textual=True, notes=tuple(notes))


def _is_cell(name: str, frame: pl.DataFrame) -> bool:
    """Whether the name of a column stands in it, or is a number: then it may be a cell of the first row."""
    if frame.schema.get(name) != pl.String:
        return name.replace(".", "", 1).isdigit()
    return name in frame[name].head(_SAMPLE).to_list()


def _offer(text: _Text, wanted: Wanted) -> str:
    """Return a hint that offers to read the first line as a row."""
    line = text.data.split(b"\n", 1)[0][:_LONGEST_LINE].decode(errors="replace")
    cells = next(csv.reader([line], delimiter=text.separator.decode()))
    last = f"; the label may then be {column_name(len(cells) - 1)}" if wanted.target else ""
    return f"line {text.heading.before + 1} looks like data: if the file has no header, add --no-header{last}"


def _by_index(text: _Text, records: Records) -> _Table:
    """Take a regular text apart by its index; the body is what follows the header, less blank lines."""
    data, first = text.data, 0 if text.heading.absent else 1
    start, end = records.starts[0], records.ends[0]
    header = next(csv.reader([data[start:end].decode()], delimiter=text.separator.decode()))
    starts, ends, fields = records.starts[first:], records.ends[first:], records.fields[first:]
    closed = bool(np.all(np.frombuffer(data, np.uint8)[ends - 1] == text.separator[0]))
    names, notes = _header_names(header, text, _width(fields, header, closed=closed))
    width = len(names) + (closed and bool(np.all(fields == len(names) + 1)))
    wrong = np.flatnonzero(fields != width)
    if wrong.size:
        at = int(wrong[0])
        where = text.place(int(records.lines[first + at]))
        raise _ragged(where, text, found=int(fields[at]), expected=len(names), count=wrong.size)
    body = data[starts[0] : ends[-1]] if starts.size else b""
    if records.blank and starts.size:
        body = _without_gaps(data, starts, ends)
        s = "s were" if records.blank > 1 else " was"
        notes.append(f"{text.name}: {records.blank} blank line{s} passed over.")
    return _Table(tuple(names), body, records.lines[first:] + text.heading.before, width, tuple(notes))


def _without_gaps(data: bytes, starts: Lines, ends: Lines) -> bytes:
    """Return the body without its blank lines, copying the stretches between them."""
    between = starts[1:] - ends[:-1]  # 1 for LF, 2 for CRLF; 2 is also LF LF, which starts otherwise
    bare = np.frombuffer(data, np.uint8)[ends[:-1]] == ord("\n")
    gaps = np.flatnonzero(between > np.where(bare, len(b"\n"), len(b"\r\n")))
    firsts, lasts = np.append(0, gaps + 1), np.append(gaps, starts.size - 1)
    return b"\n".join(data[starts[a] : ends[b]] for a, b in zip(firsts, lasts, strict=True))


def _by_walking(text: _Text) -> _Table:
    """Take a text apart with Python's csv module, and write it again so that every quote is regular.

    Ten times slower than the index, and right where quotes stand inside unquoted fields.
    """
    rows = list(_walk(text))
    if not rows:
        raise UnreadableFile(f"{text.name} has no records", "give a file with a header and rows")
    header, rows = rows[0][1], rows[0 if text.heading.absent else 1 :]
    fields, closed = np.array([len(row) for _, row in rows]), all(not row[-1] for _, row in rows)
    names, notes = _header_names(header, text, _width(fields, header, closed=closed))
    width = len(names) + (closed and bool(np.all(fields == len(names) + 1)))
    wrong = [(line, len(row)) for line, row in rows if len(row) != width]
    if wrong:
        line, found = wrong[0]
        raise _ragged(text.place(line), text, found=found, expected=len(names), count=len(wrong))
    clean = io.StringIO(newline="")
    # Only CRLF as line end makes the writer quote both characters.
    writer = csv.writer(clean, delimiter=text.separator.decode(), lineterminator="\r\n")
    writer.writerows(row for _, row in rows)
    lines = np.array([line for line, _ in rows], np.int64) + text.heading.before
    return _Table(tuple(names), clean.getvalue().encode(), lines, width, tuple(notes))


def _walk(text: _Text) -> Iterator[tuple[int, list[str]]]:
    """Yield the first physical line and the fields of every record that is not blank."""
    before = 0  # lines before the record that is being read
    separator = text.separator
    spaced = separator + b' "' in text.data  # `a, "b, c"`: the blank belongs to the separator
    lines = (line.decode() for line in io.BytesIO(text.data))
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        # Strictly, since otherwise a quote that never closes swallows rows until the next one opens.
        reader = csv.reader(lines, delimiter=separator.decode(), skipinitialspace=spaced, strict=True)
        for row in reader:
            if row:
                yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        place = text.place(before + 1)
        if "unexpected end" in str(error):
            what = f"{place} opens a quote that never closes"
        elif "expected after" in str(error):
            last = reader.line_num + text.heading.before
            later = f", on line {last}" if reader.line_num > before + 1 else ""
            what = f"{place} has text after a closing quote{later}"
        else:
            raise UnreadableFile(f"{place} is not a row: {shown(str(error))}", _HINT) from error
        raise UnreadableFile(what, 'close every quote, and double those that are text: ""') from error
    finally:
        csv.field_size_limit(limit)


def _width(fields: Lines, header: list[str], *, closed: bool) -> int:
    """Return how many names the header has, less a last one that only ends it with a separator."""
    names = len(header)
    if names > 1 and not header[-1].strip() and fields.size:
        return names - int(np.all(fields == names - 1) or (closed and np.all(fields == names)))
    return names


def _header_names(header: list[str], text: _Text, width: int) -> tuple[list[str], list[str]]:
    """Return the column names, and a note for each column that has none and is named by its place."""
    names = text.heading.names(header)[:width]
    notes = []
    for i, name in enumerate(names):
        if not name:
            names[i] = column_name(i)
            notes.append(f"{text.name}: column {i + 1} has no name, so it is called {names[i]!r}.")
    require_distinct(names, f"the header of {text.name}")
    return names, notes


def _ragged(where: str, text: _Text, *, found: int, expected: int, count: int) -> UnreadableFile:
    more = f", and {count - 1:,} more such" if count > 1 else ""
    first = "first row" if text.heading.absent else "header"
    return UnreadableFile(
        f"{where} has {found} field{'s' * (found != 1)} where the {first} has {expected}{more}",
        f"fix that line, or quote the fields that hold a {SEPARATORS[text.separator]}",
    )


def _cells(table: _Table, separator: bytes, wanted: Wanted, *, where: str) -> tuple[pl.DataFrame, list[str]]:
    """Parse the wanted columns and set their types."""
    chosen = set(wanted.choose(table.names, where))
    places = {name: str(i) for i, name in enumerate(table.names) if name in chosen}
    texts = {places[name] for name in (wanted.id_column, *wanted.as_text) if name in places}
    raw = _scan(table, list(places.values()), separator, texts)
    like_codes = _possible_codes(table.body, separator, raw)
    if like_codes:
        as_text = _scan(table, like_codes, separator, set(like_codes))
        codes = [c for c in like_codes if as_text[c].str.contains(_CODE).any()]
        raw = raw.with_columns([as_text[c] for c in codes])
    frame = raw.rename({place: name for name, place in places.items()})
    frame, notes = _typed_columns(frame, wanted, decimal_comma=separator == b";")
    return id_as_text(frame, wanted.id_column, "the file"), notes


def _scan(table: _Table, places: list[str], separator: bytes, texts: set[str]) -> pl.DataFrame:
    """Read some columns, found by their number: Polars' own reading of headers renames some of them."""
    header = separator.join(str(i).encode() for i in range(table.width))
    data = b"\n".join((header, table.body))
    if not table.body:
        return pl.DataFrame(schema=dict.fromkeys(places, pl.Null))
    rows = None if len(data) <= _INFER_ALL else _INFER_SOME
    scan = partial(pl.scan_csv, data, separator=separator.decode(), glob=False)
    for infer in dict.fromkeys((rows, None)):
        overrides = dict.fromkeys(texts, pl.String)
        lazy = scan(infer_schema_length=infer, schema_overrides=overrides)
        try:
            return lazy.select(places).collect()
        except (pl.exceptions.ComputeError, pl.exceptions.PanicException):
            continue
    # A number of more digits than any integer has: such columns are text, of which `typed` makes the best.
    long = [name for name, dtype in lazy.collect_schema().items() if dtype == pl.Int128]
    return (
        scan(infer_schema=not long, schema_overrides=overrides | dict.fromkeys(long, pl.String))
        .select(places)
        .collect()
    )


def _possible_codes(body: bytes, separator: bytes, frame: pl.DataFrame) -> list[str]:
    """Return the integer columns of `frame` that might be codes: leading zeros somewhere, or too long."""
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


def _typed_columns(
    frame: pl.DataFrame, wanted: Wanted, *, decimal_comma: bool
) -> tuple[pl.DataFrame, list[str]]:
    """Set the types that Polars leaves as text (ids stay, labels are no dates), and make empty cells null."""
    columns, notes = [], []
    for column in frame.iter_columns():
        done, note = column, ""
        if column.name == wanted.id_column:
            pass
        elif column.name in wanted.as_text:
            done = column.replace("", None)
        elif column.dtype.is_float():
            done = column.fill_nan(None)  # a cell that reads NaN is an empty cell
        elif column.dtype == pl.String:
            empty = column.str.len_bytes() == 0
            cells = pl.select(pl.when(empty).then(None).otherwise(column).alias(column.name)).to_series()
            done, note = typed(cells, decimal_comma=decimal_comma, dates=column.name != wanted.target)
        columns.append(done)
        if note:
            notes.append(note)
    return pl.DataFrame(columns), notes


def typed(cells: pl.Series, *, decimal_comma: bool, dates: bool) -> tuple[pl.Series, str]:
    """Return the column as numbers or dates where all of its cells are such or missing, else as it is."""
    present = cells.drop_nulls()
    if not len(present) or not _is_all(present.head(_SAMPLE), decimal_comma, dates):
        return cells, ""
    trimmed = cells.str.strip_chars()
    missing = trimmed.str.to_lowercase().is_in(_MISSING).fill_null(value=True)
    values = pl.select(pl.when(~missing).then(trimmed).alias(cells.name)).to_series()
    if values.null_count() == len(values):
        return cells, ""  # nothing to go by
    done = _numbers(values, decimal_comma)
    if done is None and dates:
        done = _dates(values)
    if done is None:
        return cells, ""
    codes = values.filter(values.str.contains(_CODE).fill_null(value=False))
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
    values = trimmed.filter(~trimmed.str.to_lowercase().is_in(_MISSING))
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
