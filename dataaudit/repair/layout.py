"""How a Parquet file was written, so that its repair is written alike, and what of it cannot be kept.

pyarrow says most of it: row groups, codecs, dictionaries, encodings, statistics, sort order, version. The
version of the pages stands in the header of the first one. Levels of compression, sizes of pages and the
settings of Bloom filters stand nowhere; the name of the writer is that of whoever writes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

_VALUES: Final = ("DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT")
_V2_PAGE: Final = b"\x15\x06"  # Thrift's first field, the kind of the page: 3, a data page of version 2
_SCHEMA: Final = b"ARROW:schema"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a Parquet file is laid out, but for its row groups."""

    version: str  # of the format: "1.0" or "2.6"
    pages: str  # version of the data pages: "1.0" or "2.0"
    codecs: Mapping[str, str]  # path of a column → codec
    dictionary: tuple[str, ...]  # paths of the columns that have a dictionary
    encodings: Mapping[str, str]  # of the values of other columns, where it is no plain one
    statistics: tuple[str, ...]  # paths of the columns that have statistics
    sorted_by: tuple[Any, ...]  # pyarrow's sorting columns
    index: bool  # whether there is an index of pages
    int96: bool  # whether times are the former twelve bytes
    whole_decimals: bool  # whether decimals are stored as whole numbers
    keeps_schema: bool  # whether it holds the Arrow schema
    others: Mapping[str, Any] = field(default_factory=dict)  # what cannot be set


def layout_of(meta: pq.FileMetaData, read: Callable[[int, int], bytes]) -> Layout:
    """Return the layout of a file; `read` gives its bytes from one on, so many."""
    columns = list(_columns(meta))
    has_dictionary = {c.path_in_schema for c in columns if any("DICTIONARY" in e for e in c.encodings)}
    bare = {c.path_in_schema for c in columns if not c.is_stats_set}
    paths = tuple(dict.fromkeys(c.path_in_schema for c in columns))
    decimals = {column.path for column in _leaves(meta) if column.logical_type.type == "DECIMAL"}
    integers = {c.path_in_schema for c in columns if c.physical_type in ("INT32", "INT64")}
    first = next((c.data_page_offset for c in columns if c.num_values), None)
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    return Layout(
        version="1.0" if meta.format_version == "1.0" else "2.6",
        pages="2.0" if first is not None and read(first, 2) == _V2_PAGE else "1.0",
        codecs={c.path_in_schema: c.compression for c in columns},
        dictionary=tuple(path for path in paths if path in has_dictionary),
        encodings={c.path_in_schema: e for c in columns for e in c.encodings if e in _VALUES},
        statistics=tuple(path for path in paths if path not in bare),
        sorted_by=tuple(groups[0].sorting_columns) if groups else (),
        index=any(c.has_column_index or c.has_offset_index for c in columns),
        int96=any(c.physical_type == "INT96" for c in columns),
        whole_decimals=bool(decimals & integers),
        keeps_schema=_SCHEMA in (meta.metadata or {}),
        others={
            "the name of the writer": meta.created_by,
            "Bloom filters": tuple(c.path_in_schema for c in columns if c.bloom_filter_offset is not None),
        },
    )


def _columns(meta: pq.FileMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        yield from (group.column(i) for i in range(group.num_columns))


def _leaves(meta: pq.FileMetaData) -> Iterator[pq.ColumnSchema]:
    return (meta.schema.column(i) for i in range(len(meta.schema)))


def write_parquet(
    table: pa.Table, layout: Layout, *, groups: Sequence[int], changed: Sequence[str] = ()
) -> bytes:
    """Write a table in row groups of so many rows; one that was sorted by a `changed` column no longer is.

    Other writers put into a file of the first version what pyarrow writes in a later one alone.
    """
    try:
        return _write(table, layout, groups=groups, changed=changed)
    except pa.ArrowInvalid:
        if layout.version != "1.0":
            raise
        return _write(table, replace(layout, version="2.6"), groups=groups, changed=changed)


def _write(table: pa.Table, layout: Layout, *, groups: Sequence[int], changed: Sequence[str]) -> bytes:
    out = io.BytesIO()
    every = set(layout.dictionary) >= set(layout.codecs)
    by = {table.column_names.index(name) for name in changed if name in table.column_names}
    is_sorted = layout.sorted_by and not any(one.column_index in by for one in layout.sorted_by)
    writer = pq.ParquetWriter(
        out,
        table.schema,
        version=layout.version,
        data_page_version=layout.pages,
        compression=_codecs(layout),
        use_dictionary=True if every else list(layout.dictionary) or False,
        column_encoding={k: v for k, v in layout.encodings.items() if k not in layout.dictionary} or None,
        write_statistics=set(layout.statistics) >= set(layout.codecs) or list(layout.statistics) or False,
        use_deprecated_int96_timestamps=layout.int96,
        store_decimal_as_integer=layout.whole_decimals,
        sorting_columns=layout.sorted_by if is_sorted else None,
        write_page_index=layout.index,
        store_schema=layout.keeps_schema,
    )
    with writer:
        start = 0
        for rows in groups:
            writer.write_table(table.slice(start, rows), row_group_size=max(rows, 1))
            start += rows
    return out.getvalue()


def _codecs(layout: Layout) -> str | dict[str, str]:
    """Return the codecs; one for all where there is one, so that a new column has it too."""
    codecs = {path: "NONE" if c == "UNCOMPRESSED" else c for path, c in layout.codecs.items()}
    kinds = set(codecs.values())
    return next(iter(kinds), "SNAPPY") if len(kinds) <= 1 else codecs


def lost(before: Layout, after: Layout) -> tuple[str, ...]:
    """Name what of a layout is not as it was, in the columns that both have."""
    facts = {
        "the version of the format": "version",
        "the version of the pages": "pages",
        "compression": "codecs",
        "dictionaries": "dictionary",
        "encodings": "encodings",
        "statistics": "statistics",
        "the sort order": "sorted_by",
        "the index of pages": "index",
    }
    named = {words: (getattr(before, name), getattr(after, name)) for words, name in facts.items()}
    named |= {words: (value, after.others.get(words)) for words, value in before.others.items()}
    return tuple(words for words, (old, new) in named.items() if _known(old, before) != _known(new, before))


def _known(fact: Any, before: Layout) -> Any:
    """Return a fact about columns without those that are new."""
    if isinstance(fact, Mapping):
        return {path: value for path, value in fact.items() if path in before.codecs}
    if isinstance(fact, tuple):
        return tuple(value for value in fact if not isinstance(value, str) or value in before.codecs)
    return fact
