"""Who a row is: a keyed hash of its id or of what it holds, wherever it moves.

A line number is no identity: every row below an insertion would be new. A key is the hash of the id where one
is declared, else of all cells, in a spelling on which CSV and Parquet agree (`data.contents`). Equal rows are
distinguished by a count, so that a second copy is new. A finding has the identity of its rule, its data set
and its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

from dataaudit.data.contents import SCHEME, SEPARATOR, digest, row_contents, start

__all__ = ["SCHEME", "fingerprint", "row_contents", "row_keys", "states"]
_SIZE = 16  # bytes of a fingerprint: no collision among 10^9 rows


def row_keys(
    frame: pl.DataFrame, *, columns: Sequence[str], id_column: str | None = None, secret: str = ""
) -> pl.Series:
    """Return a key for each row; the second of equal rows, or of equal ids, has another than the first."""
    keys = row_contents(frame, columns=[id_column] if id_column else columns, secret=secret)
    counted = keys.alias("key").to_frame().with_columns(nth=pl.int_range(pl.len()).over("key"))
    repeated = counted.filter(pl.col("nth") > 0)
    if repeated.is_empty():
        return keys
    again_of = start("again", secret)
    again = [digest(again_of, f"{key}{SEPARATOR}{nth}".encode()) for key, nth in repeated.iter_rows()]
    return keys.scatter(counted["nth"].gt(0).arg_true(), again)


def states(
    keys: pl.Series,
    base_keys: pl.Series,
    *,
    contents: pl.Series | None = None,
    base_contents: pl.Series | None = None,
) -> pl.Series:
    """Return what became of each row since the base."""
    rows = pl.DataFrame({"key": keys, "now": keys if contents is None else contents})
    base = pl.DataFrame({"key": base_keys, "was": base_keys if base_contents is None else base_contents})
    met = rows.join(base, on="key", how="left", maintain_order="left")
    state = (
        pl.when(pl.col("was").is_null())
        .then(pl.lit("new"))
        .when(pl.col("was") == pl.col("now"))
        .then(pl.lit("known"))
        .otherwise(pl.lit("changed"))
    )
    return met.select(state.alias("state")).to_series()


def fingerprint(code: str, dataset: str, key: str) -> str:
    """Return the identity of a finding: the same for as long as rule, dataset and row are."""
    return blake2b(SEPARATOR.join((code, dataset, key)).encode(), digest_size=_SIZE).hexdigest()
