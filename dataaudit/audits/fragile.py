"""Fragile training rows: whose changes could add most to test losses, and which cells or words do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.attack.reach import batch_of_rows
from dataaudit.audits.attack.run import SIZES
from dataaudit.audits.attack.story import Story
from dataaudit.audits.attack.wording import wordings
from dataaudit.vulnerability_findings import FRAGILE, PARTS

Rows = NDArray[np.int64]

SHOWN: Final = 20  # fragile rows with their columns and cells
PART: Final = 8  # columns or words of one


def fragile_table(story: Story) -> pl.DataFrame:
    """Return the table `FRAGILE`, the row of the largest reach first."""
    known, classes, n = story.pair.train, story.trained.classes, story.ground.n
    total = np.mean([one.total for one in story.reaches], axis=0)
    names = sorted(story.reaches[0].columns)
    by_column = np.array([np.mean([one.columns[name] for one in story.reaches], axis=0) for name in names])
    strongest = by_column.argmax(axis=0)
    chosen = np.bincount(
        [row for one in story.reaches for row in np.argsort(-one.total, kind="stable")[: SIZES[-1]]],
        minlength=n,
    )
    labels = [classes[int(label)] for label in story.trained.objective.rows.y]
    table = pl.DataFrame(
        {
            "train_row_id": known.row_id,
            "train_row": known.row,
            "label": pl.Series(labels, dtype=pl.String),
            "reach": total,
            "magnitude": np.mean([one[""] for one in story.magnitudes], axis=0),
            "column": pl.Series(
                [names[at] if total[i] > 0 else None for i, at in enumerate(strongest)], dtype=pl.String
            ),
            "chosen": chosen,
            "leverage": story.leverage,
        }
    )
    order = np.argsort(-total, kind="stable")
    ranked = table[order.tolist()].with_columns(rank=pl.int_range(1, n + 1, dtype=pl.Int64))
    found: pl.DataFrame = ranked.select(FRAGILE.names()).cast(FRAGILE)
    return found


def parts_table(story: Story, fragile: pl.DataFrame) -> pl.DataFrame:
    """Return the table `PARTS`: which columns, or words, of the first fragile rows carry their reach."""
    at = shown_rows(story, fragile)
    found: list[list[tuple[str, str | None, str, float, float | None]]] = [[] for _ in at]
    kinds = {one.column: one.kind for one in story.ground.domain.allowed}
    for name in sorted(story.reaches[0].columns):
        gains = np.mean([one.columns[name][at] for one in story.reaches], axis=0)
        slopes = np.mean([one[name][at] for one in story.magnitudes], axis=0)
        for place, (gain, slope) in enumerate(zip(gains.tolist(), slopes.tolist(), strict=True)):
            found[place].append((name, None, kinds[name], gain, slope))
    for place, column, word, kind, gain in _words(story, at):
        found[place].append((column, word, kind, gain, None))
    rows = [
        (story.pair.train.row_id[int(at[place])], *part, rank)
        for place, parts in enumerate(found)
        for rank, part in enumerate(_first(parts), start=1)
    ]
    return pl.DataFrame(rows, schema=PARTS, orient="row")


def _first(parts: list[Any]) -> list[Any]:
    """Return the parts of the largest reach above 0, whole columns and words each."""
    ordered = sorted(
        (part for part in parts if part[3] > 0), key=lambda part: (-part[3], part[0], part[1] or "")
    )
    whole, words = ([p for p in ordered if (p[1] is None) == one] for one in (True, False))
    return sorted([*whole[:PART], *words[:PART]], key=lambda part: -part[3])


def _words(story: Story, at: Rows) -> Iterator[tuple[int, str, str, str, float]]:
    """Yield edits of the texts of training rows with their mean gain over the test rows."""
    block = story.trained.objective.rows.take(torch.from_numpy(at))
    batch = batch_of_rows(story.ground, block, at)
    for words, counts in zip(story.ground.domain.texts, story.texts.counts, strict=True):
        sums: dict[tuple[int, int, bool], float] = {}
        for probe in story.probes:
            found = wordings(probe, batch, words, counts=counts[at])
            for place, entry in enumerate(found.best(PART, len(at))[0]):
                for e in entry[entry >= 0].tolist():
                    key = (place, int(found.terms[e]), bool(found.added[e]))
                    sums[key] = sums.get(key, 0.0) + float(found.gains[e])
        for (place, term, added), gain in sums.items():
            kind = "word added" if added else "word removed"
            yield place, words.column, str(words.encoder.vocabulary[term]), kind, gain / len(story.probes)


def shown_rows(story: Story, fragile: pl.DataFrame) -> Rows:
    """Return the positions of the first fragile rows."""
    place = {name: at for at, name in enumerate(story.pair.train.row_id)}
    return np.array([place[name] for name in fragile["train_row_id"].head(SHOWN)], dtype=np.int64)
