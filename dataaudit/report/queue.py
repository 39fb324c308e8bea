"""What the page's script decides and counts with: rows and classes by their exact names, and numbers of rows.

The script estimates the number of wrong labels as `noise.learned` does, by a difference estimator, but with
a linear regression: that takes of the rows that are not on the page only the sums of what it regresses on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dataaudit.escape import line
from dataaudit.findings.sample import chances, scored
from dataaudit.findings.schemas import LEARNED, Findings
from dataaudit.report import learning, words
from dataaudit.report.rows import STOP, ReviewRow, class_keys

# A name that a page can hold exactly; longer ones are reviewed on a terminal.
_NAME, _CLASS, _CLASSES = 300, 200, 20_000


def queue(f: Findings, rows: Sequence[ReviewRow]) -> dict[str, Any] | None:
    """Return what the page's script decides with: names exactly; None where they are withheld or too long."""
    p, names = f.provenance, f.labels["row_id"].head(len(rows)).to_list()
    classes = sorted({*p.classes, *(name for row in rows for name in (row.label, row.suggested_label))})
    longest = max(map(len, (*names, *f.sample["row_id"])), default=_NAME + 1)
    fits = longest <= _NAME and max(map(len, classes)) <= _CLASS and sum(map(len, classes)) <= _CLASSES
    if p.settings.get("redact") == "all" or not fits:
        return None
    at = {name: i for i, name in enumerate(classes)}
    entries, sums = _entries(f, names, at)
    known = f.labels["p_wrong"].fill_nan(None).drop_nulls()
    return {
        "run": p.run_id,
        "classes": classes,
        "names": [line(name, 60) for name in classes],
        "digits": class_keys(classes),
        "rows": [entries[name] for name in names],
        "expected": round(float(known.sum()), 3) if len(known) else None,
        "sample": {"rows": [entries[name] for name in f.sample["row_id"] if name in entries], "sums": sums},
        "made": _made(f, at),
        "counted": learning.counted(p),
        "learned": [p.learned.get("sampled", 0), p.learned.get("expected")],
    } | STOP


def _entries(
    f: Findings, names: Sequence[str], at: Mapping[str, int]
) -> tuple[dict[str, list[Any]], list[float]]:
    """Return what the script knows of each row, by name, and the sums over all rows of the last two numbers.

    Name, numbers of the classes, P(wrong); for the count the chance to be drawn, and two of the first scores.
    """
    first, known = scored(f.labels)
    numbers = [chances(first), known.p_wrong, 1.0 - known.p_label]
    table = first.select("row_id").with_columns(pl.Series(str(i), column) for i, column in enumerate(numbers))
    shown = {*names, *f.sample["row_id"]}
    joined = f.labels.filter(pl.col("row_id").is_in(shown)).join(table, on="row_id")
    entries = {
        name: [name, at.get(label), at.get(other), round(p, 4) if words.known(p) else None]
        + [float(f"{number:.6g}") for number in figures]
        for name, label, other, p, *figures in joined.select(
            "row_id", "label", "suggested_label", "p_wrong", "0", "1", "2"
        ).iter_rows()
    }
    return entries, [len(first), *(float(column.sum()) for column in numbers[1:])]


def _made(f: Findings, at: Mapping[str, int]) -> list[tuple[str, str, int | None]]:
    """Return the decisions that were learned from: name, action, number of the class that was given."""
    if not LEARNED.keys() <= set(f.labels.columns):
        return []
    rows = f.labels.filter(pl.col("reviewed").is_in(["keep", "relabel", "drop", "unsure"]))
    made = rows.select("row_id", "reviewed", "reviewed_label").iter_rows()
    return [(name, act, at.get(label)) for name, act, label in made]
