"""What the page's script is given to review the rows with: names that the decisions need exactly."""

from __future__ import annotations

import json
from typing import Any, Final

from markupsafe import Markup

from dataaudit.escape import line
from dataaudit.review.progress import FEW, FIRST, LAST
from dataaudit.review.queue import class_keys
from dataaudit.summary import ReviewRow, Summary
from dataaudit.summary.veiled import SETTING
from dataaudit.writers import words

_NAME: Final = 300  # characters of a row's name; longer ones are reviewed in the terminal
_CLASS: Final = 200
_CLASSES: Final = 20_000  # characters of all classes


def review_data(summary: Summary, rows: tuple[ReviewRow, ...]) -> dict[str, Any] | None:
    """Return the run, the classes and the rows that can be decided.

    Parameters
    ----------
    summary : Summary
    rows : tuple of ReviewRow
        Those on the page, in its order.

    Returns
    -------
    dict or None
        None where there is nothing to review, names of rows are withheld, or one is too long for a page.
    """
    p = summary.provenance
    if p["settings"].get(SETTING) == "all":
        return None
    classes = sorted({*p["classes"], *(name for row in rows for name in (row.label, row.suggested_label))})
    long = max((len(row.row_id) for row in rows), default=_NAME + 1) > _NAME
    if long or max(map(len, classes)) > _CLASS or sum(map(len, classes)) > _CLASSES:
        return None
    at = {name: i for i, name in enumerate(classes)}
    known = [label.expected_wrong for label in summary.by_label if words.known(label.expected_wrong)]
    return {
        "run": p["run_id"],
        "classes": classes,
        "names": [line(name, 60) for name in classes],
        "digits": class_keys(classes),
        "rows": [[r.row_id, at[r.label], at[r.suggested_label], _rounded(r.p_wrong)] for r in rows],
        "expected": round(sum(known), 3) if known else None,
        "first": FIRST,
        "last": LAST,
        "few": FEW,
    }


def island(values: dict[str, Any]) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element or break a line."""
    text = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - nothing is left that HTML reads


def _rounded(p_wrong: float) -> float | None:
    return round(p_wrong, 4) if words.known(p_wrong) else None
