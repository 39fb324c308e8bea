"""Which row of the base each row is, and what became of it.

Rows are met by their id, or by all that they hold. Where fewer than half of the rows meet one, a column may
have been rewritten in every row: a price in another currency, a time that became UTC, a class that was
renamed, ids that were given anew. Then rows are met by what is left without the label, the id and the columns
whose values the base hardly has, and if need be one column more; but only where what is left still tells
rows apart, lest two that are not one meet. A row that is met so is *changed*, never known: what is found in
it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from dataaudit.gate.identity import cell_hashes, row_contents, row_keys

_HALF: Final = 0.5  # of the rows of the smaller side that must meet one
_DISTINCT: Final = 0.9  # of the different rows that must stay different without some columns
_TRIED: Final = 100  # columns that are left out one by one
_Cells = Mapping[str, tuple[pl.Series, pl.Series]]  # column → hashes of its cells, here (n,) and there (m,)


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows of the data and of the base."""

    states: pl.Series  # new, changed or known, (n,)
    at: pl.Series  # position in the base of the row that each one is, Int64 (n,); null for none
    alike: pl.Series  # whether that row holds the same but for the label and `rewritten`, Boolean (n,)
    rewritten: tuple[str, ...] = ()  # columns that differ in most of the rows that are met

    @property
    def notes(self) -> list[str]:
        """What was decided, in full sentences."""
        if self.rewritten:
            names = ", ".join(map(repr, self.rewritten))
            one = len(self.rewritten) == 1
            columns, differ = ("Column", "differs") if one else ("Columns", "differ")
            it = "it" if one else "them"
            return [f"{columns} {names} {differ} from the base in most rows: they are compared without {it}."]
        if self.at.null_count() == len(self.at):
            return ["No row is in the base: all of them are new, and are judged by a model of the base."]
        return []


def match(
    now: pl.DataFrame, was: pl.DataFrame, *, label: str = "", id_column: str | None = None, secret: str = ""
) -> Matching:
    """Match the rows of two tables by the columns that both have; `id_column` is one of these."""
    names = [name for name in now.columns if name in was.columns]
    if not names:
        none = pl.repeat(None, now.height, dtype=pl.Int64, eager=True)
        states = pl.repeat("new", now.height, dtype=pl.String, eager=True)
        return Matching(states, none, pl.repeat(value=False, n=now.height, eager=True))
    now, was = _of_one_zone(now.select(names), was.select(names))
    mine, theirs = (row_keys(f, columns=names, id_column=id_column, secret=secret) for f in (now, was))
    at = _meet(mine, theirs)
    same = at.is_not_null()
    content = [name for name in names if name not in (label, id_column)]
    if id_column:
        here, there = (row_contents(frame, columns=names, secret=secret) for frame in (now, was))
        same = _equal(here, there, at=at)
    states, least = _states(same, at), max(1.0, _HALF * min(now.height, was.height))
    if same.all() or not content:
        return Matching(states, at, at.is_not_null())
    if not id_column and _met(at) >= least:
        rows, free = at.is_null().arg_true(), _free(at, was.height)
        rest = _cells_of(now[rows.to_list()], was[free.to_list()], content)
        at = at.clone().scatter(rows, free.gather(_meet(*_hashes(rest, content))))  # it sets in place
        return Matching(_states(same, at), at, at.is_not_null())
    cells = _cells_of(now, was, content)
    rewritten: tuple[str, ...]
    if _met(at) >= least:
        rewritten = tuple(name for name, (a, b) in cells.items() if _differ(a, b, at=at))
        if not _tells(cells, [name for name in content if name not in rewritten]):
            rewritten, at = (), at.clear(len(at))  # equal ids of two tables that have nothing else in common
    else:
        rewritten, at = _without_rewritten(cells, at, least)
        states = _states(same, at)
        rewritten = (*([id_column] if id_column and _met(at) >= least else []), *rewritten)
    here, there = _hashes(cells, [name for name in content if name not in rewritten])
    return Matching(states, at, _equal(here, there, at=at), rewritten)


def _without_rewritten(cells: _Cells, at: pl.Series, least: float) -> tuple[tuple[str, ...], pl.Series]:
    """Return the columns without which at least so many rows meet one, and where they do; else none."""
    names = list(cells)
    overlap = {name: int(a.is_in(b.implode()).sum()) / len(a) for name, (a, b) in cells.items()}
    first = tuple(name for name in names if overlap[name] < _HALF)
    others = [name for name in names if name not in first][:_TRIED]
    best: tuple[str, ...] = ()
    met = at
    for left_out in dict.fromkeys([(), first, *((*first, name) for name in others)]):
        kept = [name for name in names if name not in left_out]
        if not _tells(cells, kept):
            if left_out == first:
                break  # without one more still less is told apart
            continue
        found = _also(at, *_hashes(cells, kept))
        if _met(found) > _met(met):
            best, met = left_out, found
        if left_out in ((), first) and _met(met) >= least:
            break
    return (best, met) if _met(met) >= least else ((), _also(at, *_hashes(cells, names)))


def _tells(cells: _Cells, names: Sequence[str]) -> bool:
    """Tell whether some of the columns tell rows apart about as well as all of them."""
    if not names:
        return False
    every = _hashes(cells, list(cells))[1].n_unique()
    return _hashes(cells, names)[1].n_unique() >= _DISTINCT * every


def _cells_of(now: pl.DataFrame, was: pl.DataFrame, names: Sequence[str]) -> _Cells:
    return {name: (cell_hashes(now[name]), cell_hashes(was[name])) for name in names}


def _met(at: pl.Series) -> int:
    return len(at) - at.null_count()


def _free(at: pl.Series, n: int) -> pl.Series:
    """Return the positions of the other side that nobody has met."""
    every = pl.int_range(n, dtype=pl.Int64, eager=True)
    return every.filter(~every.is_in(at.drop_nulls().implode()))


def _hashes(cells: _Cells, names: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """Return a hash of what each row holds in some columns, UInt64 (n,) and (m,)."""
    sides = (pl.DataFrame({name: cells[name][side] for name in names}) for side in (0, 1))
    here, there = (frame.hash_rows() if frame.width else pl.Series(dtype=pl.UInt64) for frame in sides)
    return here, there


def _meet(mine: pl.Series, theirs: pl.Series) -> pl.Series:
    """Return where the other side has each key, Int64 (n,); the second of equal keys meets the second."""
    there = _counted(theirs).with_columns(at=pl.int_range(pl.len(), dtype=pl.Int64))
    return _counted(mine).join(there, on=["key", "nth"], how="left", maintain_order="left")["at"]


def _also(at: pl.Series, mine: pl.Series, theirs: pl.Series) -> pl.Series:
    """Return `at` with the rows that have met none yet and meet one by these hashes."""
    if mine.is_empty():
        return at
    rows, free = at.is_null().arg_true(), _free(at, len(theirs))
    return at.clone().scatter(rows, free.gather(_meet(mine.gather(rows), theirs.gather(free))))


def _counted(keys: pl.Series) -> pl.DataFrame:
    return keys.alias("key").to_frame().with_columns(nth=pl.int_range(pl.len()).over("key"))


def _equal(mine: pl.Series, theirs: pl.Series, *, at: pl.Series) -> pl.Series:
    """Return whether a row is met that has the same hash, Boolean (n,)."""
    return (mine == theirs.gather(at)).fill_null(value=False)


def _differ(mine: pl.Series, theirs: pl.Series, *, at: pl.Series) -> bool:
    return 2 * int(_equal(mine, theirs, at=at).sum()) < _met(at)


def _states(same: pl.Series, at: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"same": same, "met": at.is_not_null()})
    state = pl.when("same").then(pl.lit("known")).when("met").then(pl.lit("changed")).otherwise(pl.lit("new"))
    return frame.select(state.alias("state")).to_series()


def _of_one_zone(now: pl.DataFrame, was: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with times in UTC without a zone where one side has a zone and the other none."""
    for name in now.columns:
        pair = now[name].dtype, was[name].dtype
        if all(isinstance(dtype, pl.Datetime) for dtype in pair):
            zones = [getattr(dtype, "time_zone", None) for dtype in pair]
            if (zones[0] is None) != (zones[1] is None):
                zoned = pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
                now = now.with_columns(zoned) if zones[0] else now
                was = was.with_columns(zoned) if zones[1] else was
    return now, was
