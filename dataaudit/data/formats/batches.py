"""Text tables that are too large for memory, read some records at a time: each batch as a table of its own.

A batch ends where a record ends, and begins with the header of the file. What its columns are is read off its
own cells. Where batches disagree the cells of that column are read again as text, and typed all together, so
that every column is what a reader of the whole file makes of it. A file that cannot be cut so is `Uneven`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import BinaryIO, Final

import polars as pl

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Part, Wanted
from dataaudit.data.formats.csv import typed
from dataaudit.data.formats.header import Heading, find_heading
from dataaudit.data.formats.lines import index_records
from dataaudit.errors import AuditError

LONGEST: Final = 64  # batches that a record may be as long as
_COUNTED: Final = re.compile(
    r"(?P<where>.*: )(?P<count>[\d,]+) (?:(?P<what>cell|blank line)s?)"
    r" (?:that reads? (?P<words>.*) (?:is|are) taken as missing|w(?:as|ere) passed over)\."
)

Read = Callable[[Blob, Wanted], Part]


class Uneven(Exception):
    """A text that cannot be cut into tables: it is then read whole."""


@dataclass(frozen=True)
class Text:
    """A text file that is read some bytes at a time."""

    blob: Blob  # of its name, hash and first bytes
    open: Callable[[], BinaryIO]  # unpacked
    wanted: Wanted
    read: Read  # reads a table of bytes
    size: int  # bytes of a batch

    @property
    def is_json(self) -> bool:
        """Whether its records are lines of JSON."""
        return self.blob.data.lstrip().startswith(b"{")

    @cached_property
    def heading(self) -> Heading:
        """Where the names stand, and what separates them."""
        tabbed, absent = self.blob.suffix in (".tsv", ".tab"), self.wanted.dialect.no_header
        return find_heading(self._plain, target=self.wanted.target, tabbed=tabbed, absent=absent)

    @cached_property
    def header(self) -> bytes:
        """The line of the names, with its end; empty where there is none."""
        if self.is_json or self.heading.absent:
            return b""
        data = self._plain[self.heading.start :]
        end = data.find(b"\n")
        while end >= 0 and data.count(b'"', 0, end) % 2:
            end = data.find(b"\n", end + 1)
        return data[: end + 1]

    @property
    def _plain(self) -> bytes:
        return self.blob.data.removeprefix(codecs.BOM_UTF8)

    def batches(self) -> Iterator[tuple[Blob, int]]:
        """Yield batches with their header, and how far their lines lie below where they seem to."""
        before = 0
        with self.open() as file:
            for records in self._cut(file):
                header = self.header if before else b""
                if records.strip():
                    yield replace(self.blob, data=header + records, path=""), before - header.count(b"\n")
                before += records.count(b"\n")

    def _cut(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield whole records, two lines at least: one alone might be read as another kind of JSON."""
        cut, rest = b"", b""
        while more := file.read(self.size):
            rest += more
            end = self._end(rest)
            if end and rest.find(b"\n") < end - 1:
                if cut:
                    yield self._checked(cut)
                cut, rest = rest[:end], rest[end:]
            elif len(rest) > LONGEST * self.size:
                raise Uneven
        yield self._checked(cut + rest)

    def _end(self, data: bytes) -> int:
        """Return where the last whole record ends: at a line's end outside quotes."""
        end, quotes = len(data), 0 if self.is_json else data.count(b'"')
        while (at := data.rfind(b"\n", 0, end)) >= 0:
            quotes -= 0 if self.is_json else data.count(b'"', at, end)
            if quotes % 2 == 0:  # blank lines are counted where they are between records
                return data.find(b"\n", len(data[:at].rstrip(b"\r\n"))) + 1
            end = at
        return 0

    def _checked(self, data: bytes) -> bytes:
        """Refuse records of which quotes do not tell where they end."""
        if not self.is_json and b'"' in data and index_records(data, self.heading.separator) is None:
            raise Uneven
        return data


@dataclass
class Tables:
    """What was read of a text, batch by batch."""

    text: Text
    types: dict[str, list[pl.DataType]] = field(default_factory=dict)  # that columns with cells have
    empty: dict[str, pl.DataType] = field(default_factory=dict)  # or without any
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of columns that were typed together
    parts: list[Part] = field(default_factory=list)  # without cells

    def read(self) -> Iterator[pl.DataFrame]:
        """Read all batches, each with the types of its own cells."""
        kinds = ("csv", "tsv", "ndjson")
        for part in self._parts(self.text.wanted):
            same = self.text.is_json or not self.parts or part.names == self.parts[0].names
            if not same or part.origin.format.removesuffix(self.text.blob.packing) not in kinds:
                raise Uneven
            for cell in part.frame.iter_columns():
                met = self.types.setdefault(cell.name, [])
                self.empty[cell.name] = cell.dtype
                if cell.null_count() < len(cell) and cell.dtype not in met:
                    met.append(cell.dtype)
            self.parts.append(replace(part, frame=part.frame.select([])))
            yield part.frame

    @property
    def whole(self) -> Part:
        """What there is but for the cells, once all batches were read."""
        if not self.parts:
            raise Uneven
        first, *_ = self.parts
        origin = replace(first.origin, rows=sum(part.origin.rows for part in self.parts))
        source, line = (
            pl.concat([getattr(part, name) for part in self.parts]).alias(name) for name in ("source", "line")
        )
        return replace(
            first,
            source=source,
            row=pl.int_range(origin.rows, dtype=pl.Int64, eager=True).alias("row"),
            line=line,
            origin=origin,
            names=tuple(dict.fromkeys(name for part in self.parts for name in part.names)),
            by_line=all(part.by_line for part in self.parts),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        """Return what is said of all batches: of the file, then of its columns, each in one sentence."""
        said = [note for part in self.parts for note in part.notes]
        starts = {name: f"{self.text.blob.name}: column {name!r}" for name in self.types}
        of_file = [note for note in said if not note.startswith(tuple(starts.values()))]
        notes = _summed(of_file)
        for name, start in starts.items():
            mine = [note for note in said if note.startswith((f"{start}:", f"{start} "))]
            notes += self.said.get(name, _summed(mine)[:1])
        return notes

    def typed(self) -> tuple[dict[str, pl.DataType], dict[str, pl.Series]]:
        """Return the types of all columns, and those columns that were typed together."""
        types, mixed = dict[str, pl.DataType](), list[str]()
        for name, met in self.types.items():
            common = _common(met) if met else self.empty[name]
            if common is None and (self.text.is_json or name == self.text.wanted.id_column):
                raise Uneven
            types[name] = common or pl.String()
            mixed += [name] if common is None else []
        if not mixed:
            return types, {}
        asked = Wanted("", tuple(mixed), dialect=self.text.wanted.dialect, as_text=tuple(mixed))
        frames = [part.frame for part in self._parts(asked)]
        own = dict[str, pl.Series]()
        for name in mixed:
            cells = pl.concat([frame[name] for frame in frames])
            comma, dates = self.text.heading.separator == b";", name != self.text.wanted.target
            own[name], note = typed(cells, decimal_comma=comma, dates=dates)
            types[name] = own[name].dtype
            self.said[name] = (f"{self.text.blob.name}: {note}",) if note else ()
        return types, own

    def _parts(self, wanted: Wanted) -> Iterator[Part]:
        """Read all batches."""
        for number, (blob, below) in enumerate(self.text.batches()):
            try:
                part = self.text.read(blob, wanted)
            except AuditError as error:
                if number:  # the reader of the whole file says on which line it is
                    raise Uneven from error
                raise
            yield replace(part, line=part.line + below)


def _common(met: list[pl.DataType]) -> pl.DataType | None:
    """Return the type of a column over all batches; None where its cells decide."""
    if len(met) == 1:
        return met[0]
    if all(kind.is_integer() or kind.is_float() for kind in met) and pl.Int128() not in met:
        return pl.Float64() if any(kind.is_float() for kind in met) else pl.Int64()
    return None


def _summed(notes: Iterable[str]) -> tuple[str, ...]:
    """Return each note once, with what they count added up."""
    found = dict[str, str]()
    totals = dict[str, int]()
    for note in notes:
        counted = _COUNTED.fullmatch(note)
        key = note if counted is None else f"{counted['where']}{counted['what']}"
        found.setdefault(key, note)
        if counted is not None:
            totals[key] = totals.get(key, 0) + int(counted["count"].replace(",", ""))
    for key, total in totals.items():
        counted = _COUNTED.fullmatch(found[key])
        if counted is not None and total > 1:
            number = f"{counted['where']}{total:,} {counted['what']}"
            if counted["what"] == "cell":
                found[key] = f"{number}s that read {counted['words']} are taken as missing."
            else:
                found[key] = f"{number}s were passed over."
    return tuple(found.values())
