"""Some rows of a table and the number of all, without reading all of it.

Small files, tables in memory, queries and addresses are read whole: nothing is quicker. Of a large Parquet or
Arrow file pieces from its whole length are read; of a large text file its first bytes, whose rows say how
many there may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import ARROW_FILE, PARQUET, STDIN
from dataaudit.data.dataset import Wanted
from dataaudit.data.formats.arrow import scan_parquet
from dataaudit.data.load import given_paths, load, read_table
from dataaudit.data.paths import find
from dataaudit.data.size import file_head, row_groups
from dataaudit.errors import DataError, MissingColumn

WHOLE: Final = 48 << 20  # bytes of files up to which they are read whole
PIECES: Final = 8  # of a large file
ROWS: Final = 6_000  # read of a large file
SEED: Final = 0


@dataclass(frozen=True)
class RowSample:
    """Rows of a table."""

    frame: pl.DataFrame  # some rows, or all
    rows: int  # of the table
    names: tuple[str, ...]  # of its files
    exact: bool  # whether the number of rows is counted, not estimated
    stored: int = 0  # bytes of its files

    def drawn(self, most: int) -> pl.DataFrame:
        """Return at most so many rows, drawn at random."""
        some = self.frame
        return some if some.height <= most else some.sample(most, seed=SEED, shuffle=True)


def sample_rows(source: Any, wanted: Wanted) -> RowSample:
    """Read some rows, and count all."""
    paths = given_paths(source)
    if paths is None or len(paths) == 0 or STDIN in paths:
        return _whole(source, wanted)
    files = find(paths, wanted.target).tables
    if not files or any("=" in path or not Path(path).is_file() for path in files):
        return _whole(source, wanted)
    lengths = [Path(path).stat().st_size for path in files]
    if sum(lengths) <= WHOLE:
        return replace(_whole(source, wanted), stored=sum(lengths))
    return _pieces(files, lengths, replace(wanted, some=len(files) > 1))


def _whole(source: Any, wanted: Wanted) -> RowSample:
    dataset = load(
        source,
        target=wanted.target,
        columns=wanted.columns,
        exclude=wanted.exclude,
        id_column=wanted.id_column,
        named=wanted.named,
        dialect=wanted.dialect,
    )
    names = tuple(origin.path for origin in dataset.origins)
    return RowSample(dataset.frame, dataset.n, names, exact=True, stored=int(dataset.frame.estimated_size()))


def _pieces(files: Sequence[str], lengths: Sequence[int], wanted: Wanted) -> RowSample:
    """Read pieces of files, in proportion to their length."""
    rows, exact, frames = 0, True, list[pl.DataFrame]()
    for path, length in zip(files, lengths, strict=True):
        blob = file_head(path)
        share = max(1, round(ROWS * length / sum(lengths)))
        if blob.data.startswith(PARQUET):
            n = sum(row_groups(path))
            frames.append(_spread(scan_parquet(blob, wanted).rows, n, share))
        elif blob.data.startswith(ARROW_FILE):
            scan = pl.scan_ipc(blob.path)
            n = int(scan.select(pl.len()).collect().item())
            scan = scan.select(wanted.choose(scan.collect_schema().names(), path))
            frames.append(_spread(scan, n, share))
        else:
            head = read_table(blob, wanted).frame
            n, exact = round(head.height * length / max(1, len(blob.data))), False
            frames.append(head.gather_every(max(1, head.height // share)))
        rows += n
    if not rows:
        raise DataError(f"{files[0]} has columns but no rows", "give a table with rows")
    frame = pl.concat(frames, how="diagonal_relaxed")
    if wanted.target not in frame.columns:
        raise MissingColumn(wanted.target, frame.columns, files[0])
    gone = [name for name in (wanted.id_column,) if name in frame.columns]
    return RowSample(frame.drop(gone), rows, tuple(files), exact, sum(lengths))


def _spread(scan: pl.LazyFrame, n: int, wanted: int) -> pl.DataFrame:
    """Return pieces from all of a scan."""
    pieces = min(PIECES, max(1, wanted // 100))
    size = max(1, wanted // pieces)
    starts = [n * at // pieces for at in range(pieces)]
    return pl.concat(pl.collect_all([scan.slice(start, size) for start in starts]))
