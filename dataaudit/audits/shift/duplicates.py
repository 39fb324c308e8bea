"""Test rows that training holds already, and those of them that carry another label there.

Rows are equal if every column but the label is; missing equals missing. All columns count, those too that the
model does not use, except for identifiers: a row with another number is the same row. Rows are compared by a
64-bit hash that Polars makes column by column, so 100,000 rows take a fraction of a second; two different
rows share one with probability n·m/2⁶⁴, below one in a billion for 100,000 rows of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from dataaudit.audits.shift.comparison import Comparison, percent
from dataaudit.features.columns import counted

SHOWN = 3


def find_copies(
    train: pl.DataFrame, test: pl.DataFrame, *, columns: list[str], target: str | None
) -> tuple[pl.DataFrame, float]:
    """Return test_row, train_row (the first equal one) and conflict; and the share of train with a twin."""
    first, second = (_keys(frame, columns, target) for frame in (train, test))
    known = first.group_by("key").agg(
        pl.col("row").min().alias("train_row"), pl.col("label").drop_nulls().unique(), pl.len().alias("count")
    )
    pairs = second.join(known, on="key", how="inner", suffix="s").sort("row")
    conflict = ~pl.col("labels").list.contains(pl.col("label"), nulls_equal=False)
    unknown = pl.col("label").is_null() | (pl.col("labels").list.len() == 0)
    within = float(known.filter(pl.col("count") > 1)["count"].sum()) / max(train.height, 1)
    conflict = pl.when(unknown).then(None).otherwise(conflict)
    return pairs.select(pl.col("row").alias("test_row"), "train_row", conflict=conflict), within


def _keys(frame: pl.DataFrame, columns: list[str], target: str | None) -> pl.DataFrame:
    """Return the hash, the position and the label of every row."""
    label = frame.get_column(target).cast(pl.String) if target else pl.lit(None, pl.String)
    return row_keys(frame, columns).to_frame().with_columns(row=pl.int_range(pl.len()), label=label)


def row_keys(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Return the hash of every row's cells in some columns."""
    plain = [_hashable(frame.get_column(name)).alias(f"c{i}") for i, name in enumerate(columns)]
    return pl.DataFrame(plain).hash_rows(seed=0).alias("key")


def _hashable(series: pl.Series) -> pl.Series:
    """Return values whose hash is that of what they say, whatever the categories of their type."""
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if series.dtype.is_float():
        return series.fill_nan(None) + 0.0  # -0.0 is 0.0
    if series.dtype.is_nested():
        return pl.Series([str(value) for value in series.to_list()], dtype=pl.String)
    return series


def copy_rows(
    train: pl.DataFrame, test: pl.DataFrame, *, columns: list[str], target: str, labelled: bool
) -> Iterator[Comparison]:
    """Say which test rows training holds."""
    pairs, within = find_copies(train, test, columns=columns, target=target if labelled else None)
    if pairs.is_empty():
        return
    share = pairs.height / max(test.height, 1)
    said = (
        f"{counted(pairs.height, 'test row')} ({percent(share)}) equal{'s' if pairs.height == 1 else ''} "
        f"a training row in all {len(columns)} columns ({_examples(pairs)}); of the training rows "
        f"{percent(within)} have such a twin."
    )
    yield Comparison(None, "duplicate", None, value=share, n=pairs.height, found=said)
    wrong = pairs.filter(pl.col("conflict"))
    if wrong.height:
        said = (
            f"{counted(wrong.height, 'test row')} of the {pairs.height:,} that training holds "
            f"carr{'ies' if wrong.height == 1 else 'y'} a “{target}” that no equal training row has "
            f"({_examples(wrong)})."
        )
        share = wrong.height / pairs.height
        yield Comparison(target, "conflict", None, value=share, n=wrong.height, found=said)


def _examples(pairs: pl.DataFrame) -> str:
    """Name a few pairs by position."""
    shown = [f"test row {t} = training row {r}" for t, r, _ in pairs.head(SHOWN).iter_rows()]
    return ", ".join(shown) + (", …" if pairs.height > SHOWN else "")
