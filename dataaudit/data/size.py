"""What a table takes before it is read: its rows, cells and features, by footers and first rows.

An audit holds in memory the cells, the encoded columns, the design matrix and a few numbers a row. Where
that is more than it may take, columns are scanned where they lie (`data.scan`), and only the numbers a row
are kept. Parquet says its rows in its footer; of others they are estimated from the length of the first ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

import polars as pl

from dataaudit.data.blob import (
    ARROW_FILE,
    DELIMITED_NAMES,
    GZIP,
    JSON_NAMES,
    PACKED,
    PARQUET,
    STDIN,
    Blob,
)
from dataaudit.data.dataset import Wanted
from dataaudit.data.formats.arrow import scan_parquet
from dataaudit.data.load import read_table
from dataaudit.errors import AuditError

HEAD: Final = 4_000  # rows that are looked at
BATCH: Final = 8 << 20  # bytes of a text that are read at a time
HEAD_BYTES: Final = 1 << 20  # of a text file
GROWTH: Final = 8  # times that a packed file may grow
WORDS: Final = 4  # mean words from which strings are taken for texts
LEVELS: Final = 100  # features of a column of levels at most
_DATE: Final = 4  # features of a date
_PER_ROW: Final = 600  # bytes of scores, ranks, names and findings that a row has, columns or not
_KEPT: Final = 360  # of these, that are in memory at once where columns are not
_PER_COLUMN: Final = 16  # bytes of an encoded cell before there is a design matrix
_TERMS: Final = 2  # times that texts take, as terms: X, and what its products keep of it
_LANDMARKS, _SPLINES = 500, 6  # features that RBF, and splines of a number, may add
_DESIGN: Final = 1 << 30  # bytes of a design matrix from which on there are neither
_SMALL: Final = 200  # a table is small if the limit is so many times its files


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table on disk."""

    files: tuple[str, ...]
    rows: int
    columns: int  # that are read
    cells: int  # bytes of these in memory
    features: int  # that they are encoded as; terms of texts not counted
    shapes: int  # splines and RBF features that may come to them
    largest: int  # bytes of the largest column in memory
    group: int  # bytes of the largest row group in memory
    is_streamed: bool  # whether no file is to be read whole: Parquet, and most texts
    texts: int  # bytes of texts, whose terms are known after reading: they take about as much

    @property
    def in_memory(self) -> int:
        """Bytes that an audit of labels takes, all in memory."""
        encoded = self.rows * (_PER_COLUMN * self.columns + 12 * (self.features + self.shapes))
        return int(1.5 * self.cells) + encoded + _TERMS * self.texts + _PER_ROW * self.rows + self._hessian

    @property
    def out_of_core(self) -> int:
        """Bytes that it takes with columns scanned: a few numbers a row, a column, a row group, all terms."""
        return _KEPT * self.rows + 3 * (self.largest + self.group) + _TERMS * self.texts + self._hessian

    @property
    def _hessian(self) -> int:
        """Bytes of the Hessian, its factor and its inverse."""
        return 24 * (self.features + self.shapes + 1) ** 2


def size_of(tables: Sequence[str], wanted: Wanted, *, limit: int, plain: bool = False) -> TableSize | None:
    """Return the size of a table of files; None where it is small, or not known before reading."""
    if not tables or any(path == STDIN or not Path(path).is_file() for path in tables):
        return None
    lengths = [Path(path).stat().st_size for path in tables]
    if sum(lengths) * _SMALL <= limit:
        return None
    size = _measured(tables, lengths, wanted)
    if size is None or plain:  # a basis without splines and RBF features
        return size
    room = _DESIGN // (8 * size.rows) - size.features
    return replace(size, shapes=max(0, min(_LANDMARKS + _SPLINES * size.columns, room)))


def _measured(tables: Sequence[str], lengths: Sequence[int], wanted: Wanted) -> TableSize | None:
    """Look at footers, and at the first rows of the first file that has any."""
    rows, group = 0, 0
    head: pl.DataFrame | None = None
    blobs = [file_head(path) for path in tables]
    wanted = replace(wanted, some=len(tables) > 1, lenient=True)
    for blob, length in zip(blobs, lengths, strict=True):
        if blob.data.startswith(PARQUET):
            groups = row_groups(blob.path)
            rows, group = rows + sum(groups), max(group, *groups, 0)
            if head is None and any(groups):
                head = scan_parquet(blob, wanted).rows.head(HEAD).collect()
        elif head is None or rows:
            first, n = _first_rows(blob, length, wanted)
            rows, head = rows + n, first if head is None else head
            group = max(group, round(n * min(1.0, BATCH / max(length, 1))))
    if head is None or not rows:
        return None
    cells = [max(column.estimated_size() / head.height, 1.0) for column in head.iter_columns()]
    features, texts = _features(column for column in head.iter_columns() if column.name != wanted.target)
    return TableSize(
        files=tuple(tables),
        rows=rows,
        columns=head.width,
        cells=int(rows * sum(cells)),
        features=features,
        shapes=0,
        largest=int(rows * max(cells)),
        group=int((group or rows) * sum(cells)),
        is_streamed=all(blob.data.startswith(PARQUET) or _has_records(blob) for blob in blobs),
        texts=int(rows * texts),
    )


def _has_records(blob: Blob) -> bool:
    """Whether a file is a text whose records can be read in turn."""
    lines = blob.data.lstrip()[:1] == b"{" and blob.suffix in JSON_NAMES
    return not blob.path and (blob.suffix in DELIMITED_NAMES or lines)


def file_head(path: str) -> Blob:
    """Return the first bytes of a file, unpacked, to the end of a line; of Parquet and Arrow its place."""
    pure, packing = PurePath(path), ""
    with Path(path).open("rb") as file:
        data = file.read(HEAD_BYTES)
    if data.startswith(GZIP):
        packing, pure = "+gzip", PurePath(pure.stem) if pure.suffix in PACKED else pure
        with gzip.open(path) as unpacked:
            data = unpacked.read(HEAD_BYTES)
    if data.startswith((PARQUET, ARROW_FILE)):
        return Blob(path, pure.suffix, "", "", str(Path(path).absolute()), data[:8])
    return Blob(path, pure.suffix.lower(), packing, "", "", data[: data.rfind(b"\n") + 1] or data)


def row_groups(path: str) -> list[int]:
    """Return the rows of each row group of a Parquet file."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - a quarter of a second, and only large tables need it

    footer = pq.read_metadata(path)
    return [int(footer.row_group(i).num_rows) for i in range(footer.num_row_groups)]


def _first_rows(blob: Blob, length: int, wanted: Wanted) -> tuple[pl.DataFrame | None, int]:
    """Return first rows, and about how many rows there are."""
    if blob.path:
        scan = pl.scan_ipc(blob.path)
        return scan.head(HEAD).collect(), int(scan.select(pl.len()).collect().item())
    try:
        head = read_table(blob, wanted).frame
    except AuditError:  # it is said once the file is read whole
        return None, 0
    grown = length * (GROWTH if blob.packing else 1) / max(len(blob.data), 1)
    return head.head(HEAD), round(head.height * max(grown, 1.0))


def _features(columns: Iterable[pl.Series]) -> tuple[int, float]:
    """Return about how many features some columns give, and the bytes of a row's texts."""
    found, texts = 0, 0.0
    for column in columns:
        dtype = column.dtype
        if dtype == pl.String and (column.str.count_matches(r"\s+").mean() or 0) + 1 >= WORDS:  # type: ignore[operator]
            texts += column.estimated_size() / len(column)
        elif dtype in (pl.String, pl.Categorical, pl.Enum):
            levels = column.n_unique()
            found += 0 if levels > WORDS * LEVELS else min(levels, LEVELS + 1)  # names of rows are left out
        elif isinstance(dtype, pl.Array | pl.List):
            lists = column.arr.to_list() if isinstance(dtype, pl.Array) else column
            found += int(lists.list.len().max() or 0)  # type: ignore[arg-type]
        else:
            found += (_DATE if dtype.is_temporal() else 1) + (column.null_count() > 0)
    return found, texts
