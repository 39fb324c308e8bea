"""Match: which rows of a file that has changed since its audit are surely those that were audited.

A row is known again by its id and by what it holds: the hash of its cells, which the findings keep. Without
ids, a file that only grew has its rows where they were; in any other, a row is known by what it holds if one
row alone holds that, then and now. What is not surely the same row is named with the reason, and not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from dataaudit.cells import content_hashes
from dataaudit.data.dataset import Dataset
from dataaudit.errors import MissingColumn
from dataaudit.features.target import class_texts
from dataaudit.findings.schemas import CONTENT, Findings

GONE: Final = "no labelled row has its id now"
CHANGED: Final = "its cells have changed since the audit"
LOST: Final = "no labelled row holds now what it held in the audit"
COPIES: Final = "several rows hold the same, so that the one that was meant is unknown"


@dataclass(frozen=True, slots=True)
class Matched:
    """The rows of a file that findings speak of."""

    rows: pl.DataFrame  # row_id in the findings, row, line and label in the file
    origin: Mapping[str, Any]  # of the file as it is now
    missed: Mapping[str, str]  # row_id → why it is not surely there
    relabelled: Mapping[str, str]  # row_id → another label that the same row has now
    classes: pl.DataFrame  # row and label of all labelled rows of the file
    new: int  # labelled rows of the file that were not audited as they are


def match_rows(findings: Findings, dataset: Dataset, *, audited: str) -> Matched:
    """Match the rows of a file, as the audit reads it now, with those of `audited`, which it was then."""
    old = findings.labels.filter(pl.col("source") == audited).sort("row")
    rows = {
        "id": dataset.row_id,
        "row": dataset.row,
        "line": dataset.line,
        "label": class_texts(dataset.frame[dataset.target]),
        CONTENT: content_hashes(dataset.frame, columns=list(_columns(findings, dataset.frame))),
    }
    new = pl.DataFrame(rows)
    has_ids = bool(findings.provenance.settings.get("id_column"))
    marks = _by_id(old, new) if has_ids else _by_content(old, new)
    same = pl.col("state") == "same"
    moved = marks.filter(same & pl.col("now").ne_missing(pl.col("label")))
    left = marks.filter(~same)
    here = marks.filter(same & (pl.col("now") == pl.col("label")))
    return Matched(
        rows=here.select("row_id", pl.col("row_now").alias("row"), "line", "label"),
        origin=asdict(dataset.origins[0]),
        missed=dict(left.select("row_id", "state").iter_rows()),
        relabelled={name: label or "" for name, label in moved.select("row_id", "now").iter_rows()},
        classes=new.select("row", "label").drop_nulls("label"),
        new=_more(old, new.drop_nulls("label")),
    )


def _more(old: pl.DataFrame, new: pl.DataFrame) -> int:
    """Return how many rows hold what no audited row held, or as many did not."""
    then = old.group_by(CONTENT).agg(then=pl.len().cast(pl.Int64))
    now = new.group_by(CONTENT).agg(now=pl.len().cast(pl.Int64)).join(then, on=CONTENT, how="left")
    return int(now.select((pl.col("now") - pl.col("then").fill_null(0)).clip(0).sum()).item())


def _columns(findings: Findings, frame: pl.DataFrame) -> Iterator[str]:
    """Yield the columns whose cells the audit hashed."""
    known = findings.provenance
    hashed = [str(role["column"]) for role in known.roles if role["column"] != known.target]
    for name in hashed or (name for name in frame.columns if name != known.target):
        if name not in frame.columns:
            raise MissingColumn(name, frame.columns, "the file, which the audit read with it")
        yield name


def _by_id(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the audited rows with what became of them: ``"same"``, or why a row is not surely there."""
    found = new.rename({"row": "row_now", "label": "now", CONTENT: "content_now", "id": "row_id"})
    met = old.select("row_id", "label", CONTENT).join(found, on="row_id", how="left", maintain_order="left")
    state = (
        pl.when(pl.col("row_now").is_null())
        .then(pl.lit(GONE))
        .when(pl.col(CONTENT) == pl.col("content_now"))
        .then(pl.lit("same"))
        .otherwise(pl.lit(CHANGED))
    )
    return met.with_columns(state=state)


def _by_content(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the same where rows have no ids."""
    old = old.select("row_id", "row", "label", CONTENT)
    found = new.select(pl.col("row").alias("row_now"), "line", pl.col("label").alias("now"), CONTENT)
    grown = old.join(found, left_on="row", right_on="row_now", how="left", maintain_order="left")
    where = (pl.col(CONTENT) == pl.col(f"{CONTENT}_right")) & (pl.col("label") == pl.col("now"))
    if grown.select(where.fill_null(value=False).all()).item():  # the file only grew
        return grown.select("row_id", "label", "line", "now", row_now="row", state=pl.lit("same"))
    exact = _alone(old, found.filter(pl.col("now").is_not_null()), by=[CONTENT, "label"])
    cells = _alone(old, found, by=[CONTENT])  # with another label now
    met = exact.join(cells, on="row_id", how="left", maintain_order="left", suffix="_cells")
    is_exact = pl.col("state") != LOST
    chosen = (
        pl.when(is_exact).then(pl.col(name)).otherwise(pl.col(f"{name}_cells")).alias(name)
        for name in ("row_now", "line", "now", "state")
    )
    return met.select("row_id", "label", *chosen)


def _alone(old: pl.DataFrame, found: pl.DataFrame, *, by: list[str]) -> pl.DataFrame:
    """Return each audited row with the one row that holds the same, if it is one then and now."""
    keys = [pl.col("now" if name == "label" else name).alias(name) for name in by]
    now = found.with_columns(keys).group_by(by).agg(pl.len().alias("copies_now"), pl.all().first())
    now = now.select(*by, "copies_now", "row_now", "line", "now")
    met = old.with_columns(copies=pl.len().over(by)).join(now, on=by, how="left", maintain_order="left")
    state = (
        pl.when(pl.col("copies_now").is_null())
        .then(pl.lit(LOST))
        .when((pl.col("copies") == 1) & (pl.col("copies_now") == 1))
        .then(pl.lit("same"))
        .otherwise(pl.lit(COPIES))
    )
    return met.select("row_id", "label", "row_now", "line", "now", state=state)
