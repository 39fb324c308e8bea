"""Checks of the rows before any model: what would let wrong labels look right, or right ones wrong.

A check has a value that is above its limit where there is something to say first, whether or not it is in
order: a column that restates the label is left out, and copies leave training together, but a reader should
know before anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.features import Role
from dataaudit.features.columns import counted, values_of
from dataaudit.features.leaks import Restated
from dataaudit.features.roles import counts_rows
from dataaudit.features.target import Target
from dataaudit.findings.schemas import COPIES, COUNTER, GROUPS, NO_LABEL, RESTATED, SPELLINGS
from dataaudit.options import TrainingOptions

if TYPE_CHECKING:
    from dataaudit.influence.groups import Groups

Check = tuple[str, float | None, float | None, bool, str]  # name, value, limit, whether it passes, message
Numbers = NDArray[np.int64]

LEVELS, ROWS = 20, (2, 20)  # of a column that may name groups: fewest values, and rows of one on average
_ALIKE: Final = 0.5  # of what labels of two rows could agree more than by chance, from which groups vouch
_COPIED: Final = 0.01  # share of the rows that are copies, from which it is said first
_SHOWN: Final = 3  # columns in one line


def check_rows(
    frame: pl.DataFrame,
    target: Target,
    roles: Sequence[Role],
    *,
    found: Sequence[Restated],
    groups: Groups | None,
    settings: TrainingOptions,
) -> tuple[Check, ...]:
    """Look for spellings of classes, columns that hold the label or count the rows, groups and copies."""
    left_out = {role.column for role in roles if role.role == "left out"}
    return (
        *(() if target.quantity else check_classes(target)),
        _restated(found, left_out),
        *_counters(target.y, roles),
        _grouped(frame, target.y, roles, column=settings.group),
        _copies(groups, target.y),
    )


def check_classes(target: Target) -> tuple[Check, ...]:
    """Look for classes that are spellings of one, or none."""
    kinds = (
        (SPELLINGS, target.spellings, (), "No two classes differ in case or blanks only."),
        (NO_LABEL, target.empty, target.unknown, "No class reads like a missing label."),
    )
    return tuple(
        (name, float(len(bad + may)), 0.0, not bad, " ".join((bad + may)[:_SHOWN]) or fine)
        for name, bad, may, fine in kinds
    )


def _restated(found: Sequence[Restated], left_out: set[str]) -> Check:
    said = []
    for one in found[:_SHOWN]:
        if one.column in left_out:
            what = "it is left out of the features. List it under features if it was known before the label"
            said.append(f"Column {one.column!r} restates the label ({one.reason}): {what}.")
        else:
            what = "wrong labels that it repeats look right. Exclude it if it was not known before the label"
            said.append(f"Column {one.column!r} may restate the label ({one.reason}): {what}.")
    if len(found) > _SHOWN:
        said.append(f"So it is with {len(found) - _SHOWN:,} more columns.")
    ok = all(one.column in left_out for one in found)
    return RESTATED, float(len(found)), 0.0, ok, " ".join(said) or "No column alone gives the label away."


def _counters(y: Numbers, roles: Sequence[Role]) -> Sequence[Check]:
    """Say which column was left out because it counts the rows, and whether these are sorted by label."""
    turns, classes = int((np.diff(y) != 0).sum()), int(y.max()) + 1
    is_sorted = turns < 2 * classes
    where = ", which are sorted by label" if is_sorted else ""
    return [
        (COUNTER, float(is_sorted), 0.0, True, f"Column {role.column!r} was left out: {role.reason}{where}.")
        for role in roles
        if counts_rows(role)
    ][:1]


def _grouped(frame: pl.DataFrame, y: Numbers, roles: Sequence[Role], *, column: str | None) -> Check:
    if column:
        return GROUPS, 0.0, 0.0, True, f"Rows of one {column!r} leave training together."
    best = max(((_vouched(frame, y, role), role.column) for role in roles), default=None)
    if best is None or best[0][0] < _ALIKE:
        return GROUPS, 0.0, 0.0, True, "No column names groups whose rows carry one label."
    (_, same, by_chance), name = best
    said = (
        f"Rows of one {name!r} carry the same label in {same:.0%} of pairs, others in {by_chance:.0%}: where "
        f"all of them are wrong they look right. Name {name!r} as group to leave them out together."
    )
    return GROUPS, 1.0, 0.0, False, said


def _vouched(frame: pl.DataFrame, y: Numbers, role: Role) -> tuple[float, float, float]:
    """Return by how much more than others the rows of one value agree (1 is most), and how often both do."""
    number = role.role == "numeric" and frame.schema[role.column].is_integer()
    if not (number or _names(role)):
        return 0.0, 0.0, 0.0
    rows = pl.DataFrame({"value": values_of(frame, role.column), "y": y}).drop_nulls()
    if not _few_rows_each(rows["value"]):
        return 0.0, 0.0, 0.0
    sizes = rows.group_by("value").len().select((pl.col("len") * (pl.col("len") - 1)).sum()).item()
    alike = rows.group_by("value", "y").len().select((pl.col("len") * (pl.col("len") - 1)).sum()).item()
    share = np.bincount(rows["y"].to_numpy()) / rows.height
    by_chance = float(share @ share)
    if number:  # of a quantity, like values agree too
        near = rows.sort("value", maintain_order=True)
        other = near["value"].diff().fill_null(0) != 0
        agree = (near["y"] == near["y"].shift(1)).filter(other)
        by_chance = max(by_chance, float(agree.mean() or 0.0))  # type: ignore[arg-type]
    same = alike / max(sizes, 1)
    return (same - by_chance) / max(1 - by_chance, 1e-9), same, by_chance


def may_group(role: Role, frame: pl.DataFrame) -> bool:
    """Whether a column may name groups: categories or an identifier, many of them with a few rows each."""
    return _names(role) and _few_rows_each(frame[role.column].drop_nulls())


def _names(role: Role) -> bool:
    return role.role == "categorical" or role.reason.startswith("an identifier")


def _few_rows_each(values: pl.Series) -> bool:
    levels = values.n_unique()
    return levels >= LEVELS and ROWS[0] * levels <= len(values) <= ROWS[1] * levels


def _copies(groups: Groups | None, y: Numbers) -> Check:
    """Say how many rows are copies of others, with the same label and with other ones."""
    at = np.empty(0, dtype=np.int64) if groups is None else np.flatnonzero(groups.copy >= 0)
    if groups is None or not len(at):
        return COPIES, 0.0, _COPIED, True, "No row is a copy of another one."
    rows = pl.DataFrame({"set": groups.copy[at], "group": groups.group[at], "y": y[at]})
    mixed = rows.select(pl.col("y").n_unique().over("set") > 1).to_series()
    together = ~mixed & rows.select(pl.col("group").n_unique().over("set") == 1).to_series()
    kinds = ((together, "one label: they leave training together"), (mixed, "different labels"))
    parts = []
    for which, what in kinds:
        sets = counted(rows.filter(which)["set"].n_unique(), "set")
        parts += [f"{int(which.sum()):,} rows in {sets} are copies with {what}"] if which.any() else []
    return COPIES, len(at) / len(y), _COPIED, True, f"{'; '.join(parts) or 'Rows are copies of others'}."
