"""The table of who mislabels: wrong labels by the levels of columns, made of what is said of each row.

The levels that have more wrong labels than by chance come first, and of those the one with the most above the
average: it is the one to talk to, or to leave out.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from dataaudit.findings.schemas import BY
from dataaudit.noise.levels import SIGNIFICANT, weigh

_FOUND = ["column", "level", "kind", "position", "others_predicted", "others_measured", "together"]


def by_table(
    labels: pl.DataFrame, levels: pl.DataFrame, found: pl.DataFrame, *, interval: tuple[float, float]
) -> pl.DataFrame:
    """Return the table `BY`; what does not come out of `p_wrong` is taken from `found`.

    `interval` is that of the number of wrong labels in all rows.
    """
    if levels.is_empty():
        return pl.DataFrame(schema=BY)
    label = pl.lit("").alias("label") if "residual" in labels.columns else pl.col("label")  # numbers
    rows = labels.select("row_id", label, pl.col("p_wrong").fill_nan(0.0))
    average = float(rows["p_wrong"].mean())  # type: ignore[arg-type]  # of numbers
    parts = []
    for column in levels["column"].unique(maintain_order=True):
        own = levels.filter(column=column).join(rows, on="row_id", how="inner", maintain_order="left")
        names = own["level"].unique().sort()
        y = own["label"].rank("dense").cast(pl.Int64).to_numpy() - 1
        code = names.search_sorted(own["level"]).cast(pl.Int64).to_numpy()
        seen = weigh(own["p_wrong"].to_numpy(), y, code, interval=interval)
        share = seen.expected / seen.n
        times = share / average if average > 0 else np.ones(len(share))
        parts.append(
            pl.DataFrame(
                {
                    "column": pl.repeat(column, len(names), eager=True),
                    "level": names,
                    "n": seen.n,
                    "expected_wrong": seen.expected,
                    "low": seen.low,
                    "high": seen.high,
                    "share": share,
                    "times_average": times,
                    "p_value": seen.p_value,
                    "significant": (seen.p_value <= SIGNIFICANT) & (times > 1.0),
                }
            )
        )
    excess = pl.col("expected_wrong") - average * pl.col("n")
    more = found.select(name for name in _FOUND if name in found.columns)
    table = pl.concat(parts).join(more, on=["column", "level"], how="left", maintain_order="left")
    lacking = [pl.lit(None).alias(name) for name in BY if name not in table.columns]
    ranked = table.with_columns(lacking).sort(
        ~pl.col("significant"), -excess, "column", "position", maintain_order=True
    )
    places = pl.int_range(1, len(ranked) + 1, dtype=pl.Int64, eager=True).alias("rank")
    made: pl.DataFrame = ranked.with_columns(places).select(BY.names()).cast(BY)
    return made
