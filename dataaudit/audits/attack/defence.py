"""What a check of the data would have seen of an attack: leverage, and near-duplicates.

Leverage is the share of its own fit that a row determines. A row is marked where its leverage in the model
that was trained on the changed data is above that of 99 % of the training rows as they were: so one training
row in a hundred is marked in any case.

Two rows are near-duplicates if the normal forms of their used columns are equal (`likeness`), as they are for
the rules of ``audit check``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from dataaudit.audits.attack.change import Ground
from dataaudit.audits.attack.domain import Reals
from dataaudit.audits.attack.run import Attack
from dataaudit.encode import Role
from dataaudit.likeness import normal_form

PERCENTILE: Final = 99.0


@dataclass(frozen=True)
class Caught:
    """What checks would have seen.

    Attributes
    ----------
    leverage : bool
        A changed row has a leverage above the limit.
    leverage_before : bool
        One of them had so before it was changed.
    like_test : bool
        A changed row is a near-duplicate of the test row, and was not before.
    unlike_original : bool
        A changed row is no near-duplicate of what it was.
    """

    leverage: bool
    leverage_before: bool
    like_test: bool
    unlike_original: bool


def leverage_limit(leverage: Reals) -> float:
    """Return the leverage that 99 % of the training rows do not exceed."""
    return float(np.quantile(leverage, PERCENTILE / 100))


def caught(found: Attack, ground: Ground, test: pl.DataFrame, *, limit: float) -> Caught:
    """Return what checks would have seen of an attack.

    Parameters
    ----------
    found : Attack
    ground : Ground
        The training rows.
    test : pl.DataFrame
        The one test row.
    limit : float
        From `leverage_limit`.

    Returns
    -------
    Caught
    """
    if not found.changes:
        return Caught(leverage=False, leverage_before=False, like_test=False, unlike_original=False)
    used = [role for role in ground.encoded.encoding.roles if role.role != "left out"]
    after = near_forms(ground.frame(found.changes), used)
    before = near_forms(ground.dataset.frame[[change.row for change in found.changes]], used)
    own = near_forms(test, used)[0]
    return Caught(
        leverage=bool((found.leverage > limit).any()),
        leverage_before=bool((found.leverage_before > limit).any()),
        like_test=any(new == own != old for new, old in zip(after, before, strict=True)),
        unlike_original=any(new != old for new, old in zip(after, before, strict=True)),
    )


def near_forms(frame: pl.DataFrame, roles: Sequence[Role]) -> list[tuple[object, ...]]:
    """Return what is compared of each row."""
    forms = [normal_form(r.column, frame.schema[r.column], text=r.role == "text") for r in roles]
    return frame.select(forms).rows()
