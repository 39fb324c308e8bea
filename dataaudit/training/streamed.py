"""Which audits of labels leave their table on disk: those that would take more memory than they may.

The estimate of what an audit takes (`data.size`) is compared with what it may take before anything is read.
Then columns are encoded one after another as in memory, basis and λ are chosen on the same rows, and the
design matrix goes to scratch files (`training.shards`), over which the fit takes a pass a step
(`influence.passes`). Nothing here needs torch, which another thread imports meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataaudit.data.blob import PARQUET, open_blob
from dataaudit.data.dataset import Dataset, Wanted
from dataaudit.data.formats.batches import Uneven
from dataaudit.data.load import given_paths
from dataaudit.data.paths import Found, find
from dataaudit.data.scan import require_unchanged, scan, spilled
from dataaudit.data.size import TableSize, size_of
from dataaudit.errors import SettingError, TooLarge
from dataaudit.escape import shown
from dataaudit.memory import FEWEST_SEARCHED, HINT, in_bytes, memory_limit

if TYPE_CHECKING:
    from dataaudit.data.scratch import Scratch


def read_scanned(
    source: Any,
    wanted: Mapping[str, Any],
    scratch: Scratch,
    *,
    plain: bool,  # whether the basis has no splines and RBF features
    searched: int = 0,  # bytes that a cell takes where slices are searched
    share: float = 1.0,  # of the memory that may be used, for these rows
) -> Dataset | None:
    """Return a table that is too large to be audited in memory, on disk; None where it is not.

    That of workers is on disk, however small: they share files with this process.
    """
    paths = given_paths(source)
    if scratch.engine is not None:
        return _shared(paths, wanted, scratch)
    if not paths:
        return None
    found = find(paths, wanted["target"])
    asked = Wanted(**{"columns": None, **wanted})
    limit = int(share * memory_limit())
    size = size_of(found.tables, asked, limit=limit, plain=plain)
    if size is None or size.in_memory + searched * size.rows * size.columns <= limit:
        return None
    more = searched * size.columns * min(size.rows, FEWEST_SEARCHED)
    if size.is_streamed:
        require_size(size, searched=more)
        with suppress(Uneven):
            return _scanned(found, asked, scratch, given=paths)
    require_size(replace(size, is_streamed=False), searched=more)
    return spilled(source, wanted, scratch)


def _scanned(found: Found, wanted: Wanted, scratch: Scratch, *, given: Sequence[str | Path]) -> Dataset:
    """Return a table of Parquet files, which are to stay as they are."""
    dataset = scan(found, wanted, given=given, scratch=scratch)
    scratch.checks.append(partial(require_unchanged, dataset))
    return dataset


def _shared(paths: Sequence[str | Path] | None, wanted: Mapping[str, Any], scratch: Scratch) -> Dataset:
    """Return a table of Parquet files that workers see as well."""
    if not paths:
        raise SettingError("workers read files: got a table in memory", "write it as Parquet first")
    found = find(paths, wanted["target"])
    for path in found.tables:
        if not Path(path).is_file() or open_blob(path).data[: len(PARQUET)] != PARQUET:
            what = f"workers read Parquet files on a disk that they see: got {shown(path)}"
            raise SettingError(what, "write it as Parquet first")
    asked = Wanted(**{"columns": None, **wanted})
    if size := size_of(found.tables, asked, limit=0):
        require_size(size)
    scratch.engine.require_files([str(Path(path).absolute()) for path in found.tables])
    return _scanned(found, asked, scratch, given=paths)


def require_size(size: TableSize, *, searched: int = 0) -> None:
    """Refuse, before it is read, a table that may not even take what it takes on disk."""
    limit = memory_limit()
    needed = searched + (size.out_of_core if size.is_streamed else max(size.out_of_core, 2 * size.cells))
    if needed > limit:
        rows = f"{size.rows:,} rows of {size.columns} columns"
        what = f"{rows} need {in_bytes(needed)} with columns read one after another"
        raise TooLarge(f"{what}, {in_bytes(limit)} may be used", HINT)
