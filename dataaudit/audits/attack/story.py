"""Everything that the attacks of one audit came to, and the training rows as one of them left them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from dataaudit.audits.attack.change import Ground
from dataaudit.audits.attack.defence import Caught
from dataaudit.audits.attack.domain import Reals, Whole
from dataaudit.audits.attack.reach import Probe
from dataaudit.audits.attack.run import SIZES, Attack
from dataaudit.audits.attack.steps import Reach, Texts
from dataaudit.audits.pair import Pair
from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained
from dataaudit.errors import SettingError


@dataclass(frozen=True)
class Story:
    """Everything that the attacks of one audit came to; T test rows.

    Attributes
    ----------
    trained, pair, tested, ground, texts
        Model, data, predictions, what may change, counts of words.
    chosen : ndarray (T,) int64
        Positions of the attacked test rows.
    leverage : ndarray (n,)
        Of the training rows as they are.
    limit : float
        What 99 % of them do not exceed.
    probes, reaches : tuples of T
        Of every attacked test row, H⁻¹ g_t and what each training row could do.
    magnitudes : tuple of T dict
        Sizes of I_pert,loss/n by column.
    attacks, seen : tuples of T
        By the sizes of an attack: what became of it, and what checks would have seen.
    """

    trained: Trained
    pair: Pair
    tested: Tested
    ground: Ground
    texts: Texts
    chosen: Whole
    leverage: Reals
    limit: float
    probes: tuple[Probe, ...]
    reaches: tuple[Reach, ...]
    magnitudes: tuple[dict[str, Reals], ...]
    attacks: tuple[tuple[Attack, ...], ...]
    seen: tuple[tuple[Caught, ...], ...]

    def each(self) -> Iterator[tuple[int, int, Attack, Caught]]:
        """Yield test row, rows that may change, attack, what checks saw."""
        for at, mine, seen in zip(self.chosen.tolist(), self.attacks, self.seen, strict=True):
            for size, one, found in zip(SIZES, mine, seen, strict=True):
                yield at, size, one, found


def perturbed_rows(story: Story, *, id_column: str | None = None) -> pl.DataFrame:
    """Return the training rows as the smallest attack that flips the one test row left them.

    Parameters
    ----------
    story : Story
        Of one attacked test row; where no attack flips it, the largest one is taken.
    id_column : str or None
        What the row names are called, where they are a column of the data.

    Returns
    -------
    pl.DataFrame
        All training rows in their order; vectors that were whole numbers have fractions now.

    Raises
    ------
    SettingError
        If several test rows were attacked.
    """
    if len(story.attacks) != 1:
        raise SettingError(
            f"{len(story.attacks)} test rows were attacked, one is written", "name one of them"
        )
    found = next((one for one in story.attacks[0] if one.flipped), story.attacks[0][-1])
    whole, ground = story.pair.train.frame, story.ground
    if found.changes:
        new = ground.frame(found.changes)
        order = np.arange(ground.n)
        order[[change.row for change in found.changes]] = ground.n + np.arange(len(found.changes))
        columns = [_joined(whole.get_column(name), new.get_column(name)) for name in whole.columns]
        whole = pl.DataFrame(columns)[order.tolist()]
    return whole if id_column is None else whole.insert_column(0, story.pair.train.row_id.alias(id_column))


def _joined(old: pl.Series, new: pl.Series) -> pl.Series:
    """Return the cells of a column with changed ones behind, in the wider type of both."""
    if old.dtype != new.dtype and new.dtype == pl.List(pl.Float64()):
        cells = [None if cell is None else np.ravel(cell).astype(float).tolist() for cell in old.to_list()]
        old = pl.Series(old.name, cells, dtype=new.dtype)
    return pl.concat([old.cast(new.dtype), new])
