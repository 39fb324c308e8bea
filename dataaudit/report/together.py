"""Several test rows attacked at once by the same changes, and from what margin flips start."""

from __future__ import annotations

from typing import Final

import polars as pl

from dataaudit.findings.schemas import VulnerabilityFindings
from dataaudit.report import blocks as b
from dataaudit.report import words
from dataaudit.report.common import LABEL, NAME, Fact, few

_ROWS: Final = 20  # test rows
_CHANGES: Final = 20
_LEAD: Final = (
    "The summed loss of these test rows is raised by the same changed training rows (Koh & Liang 2017, "
    "figure 5): how many predictions one change can take at once. Each count is of a true refit."
)


def margins(f: VulnerabilityFindings) -> str:
    """Say from what margin flips started, by as few rows as flip any; nothing where it is not known."""
    known = f.attacks.drop_nulls("margin_before")
    flips = known.filter("flipped")
    if not len(flips):
        return ""
    size = int(flips["rows"].min())  # type: ignore[arg-type]  # there are flips
    flipped, stood = (
        known.filter(pl.col("flipped") == one, rows=size)["margin_before"] for one in (True, False)
    )
    far = f"; those that stayed had {words.short(_median(stood), 2)}" if len(stood) else ""
    most = f", {words.short(flipped.max(), 2)} at the most" if len(flipped) > 1 else ""  # type: ignore[arg-type]
    lead = f"from a lead of {words.short(_median(flipped), 2)} log-odds{' (median)' if most else ''}{most}"
    return f"Flips by {few(size, 'row')} started {lead}{far}{' (median)' if far else ''}."


def _median(values: pl.Series) -> float:
    return float(values.median())  # type: ignore[arg-type]  # of numbers


def sentence(f: VulnerabilityFindings) -> b.Inline:
    """Say how many predictions one change takes at once, at the most; nothing where it was not tried."""
    best = f.together.sort("flipped", "rows", descending=[True, False]).head(1)
    if not len(best):
        return ""
    one = best.row(0, named=True)
    which = f"{one['flipped']} of {few(one['attacked'], 'prediction')}"
    return f"At once, by the same {few(one['rows'], 'changed row')}, {which}", *_of(one), " flip."


def _of(one: Fact) -> tuple[b.Part, ...]:
    return () if one["label"] is None else (" of “", b.Cell(one["label"], LABEL), "”")


def sections(f: VulnerabilityFindings) -> tuple[b.Section, ...]:
    """Return the section about test rows that were attacked at once, if there are some."""
    if not len(f.together):
        return ()
    blocks: list[b.Block] = [_counts(f)]
    for one in (
        f.together.sort("rows").unique("group", keep="last", maintain_order=True).iter_rows(named=True)
    ):
        chosen = {"group": one["group"], "rows": one["rows"]}
        title = (
            "The same ",
            few(one["rows"], "row"),
            " against ",
            few(one["attacked"], "prediction"),
            *_of(one),
        )
        name = b.plain(title)
        tables = (
            _became(f.together_rows.filter(**chosen), name),
            _changed(f.together_changes.filter(**chosen), name),
        )
        blocks.append(b.Only(("page", "markdown"), (b.Fold(name, tables),)))
    return (b.Section("Several at once", tuple(blocks), rank=0, key="together", lead=_LEAD),)


def _counts(f: VulnerabilityFindings) -> b.Table:
    rows = tuple(
        (
            "several" if one["label"] is None else b.Cell(one["label"], 24),
            words.count(one["rows"]),
            f"{one['flipped']} of {one['attacked']}",
            ", ".join(words.short(one[f"loss_{when}"]) for when in ("before", "predicted", "after")),
            words.count(one["cells"]),
            words.count(one["changed_rows"]),
        )
        for one in f.together.iter_rows(named=True)
    )
    return b.Table(
        caption="Test rows attacked at once",
        head=("label", "rows changed", "flipped", "mean loss", "cells", "in rows"),
        rows=rows,
        bars=tuple(f.together["flipped"] / f.together["attacked"]),
        legend="Mean loss of these test rows in nats: before, predicted, after a true refit.",
    )


def _became(rows: pl.DataFrame, name: str) -> b.Table:
    shown = rows.sort("margin_after").head(_ROWS)
    return b.Table(
        caption=f"What becomes of each, {name}",
        head=("test row", "label", "becomes", "its lead before", "after", "p(label)"),
        rows=tuple(
            (
                b.Cell(one["test_row_id"], NAME),
                b.Cell(one["label"], 24),
                b.Cell(one["predicted_label"], 24, "against") if one["flipped"] else "the same",
                words.fixed(one["margin_before"]),
                words.fixed(one["margin_after"]),
                ", ".join(words.fixed(one[f"p_{when}"]) for when in ("before", "predicted", "after")),
            )
            for one in shown.iter_rows(named=True)
        ),
        total=len(rows),
        rest=("test row", "test rows: together_rows.parquet"),
    )


def _changed(changes: pl.DataFrame, name: str) -> b.Table:
    return b.Table(
        caption=f"Changed cells and words, {name}",
        head=("training row", "label", "column", "before", "after"),
        rows=tuple(
            (
                b.Cell(row, NAME),
                b.Cell(label, 24),
                b.Cell(column, LABEL),
                *(b.Cell(text or "", 80) for text in cells),
            )
            for row, label, column, *cells in changes.select(
                "train_row_id", "label", "column", "before", "after"
            )
            .head(_CHANGES)
            .iter_rows()
        ),
        total=len(changes),
        rest=("change", "changes: together_changes.parquet"),
    )
