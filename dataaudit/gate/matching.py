"""Which row of the base each row is, and what became of it.

Rows are met by their id, or by all that they hold. Where fewer than half of the rows meet one, a column may
have been rewritten in every row: a price in another currency, a time that became UTC, a class that was
renamed, ids that were given anew. Then rows are met by what is left without the label, the id and the columns
whose values the base hardly has, and if need be one column more; but only where what is left still tells
rows apart, lest strangers meet. A row that is met so is *changed*, never known: what is found in it counts.
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
        contents = (row_contents(frame, columns=names, secret=secret) for frame in (now, was))
        same = _equal(*contents, at)
    if same.all():
        return Matching(_states(same, at), at, same)
    cells = {name: (cell_hashes(now[name]), cell_hashes(was[name])) for name in content}
    least = max(1.0, _HALF * min(now.height, was.height))
    rewritten: tuple[str, ...] = ()
    if at.len() - at.null_count() < least:
        rewritten, at = _without_rewritten(cells, at, least)
        rewritten = (*([id_column] if id_column and at.is_not_null().any() else []), *rewritten)
    elif id_column:
        rewritten = tuple(name for name, (a, b) in cells.items() if _differ(a, b, at))
    else:
        at = _also(at, *_hashes(cells, content))
    rest = [name for name in content if name not in rewritten]
    alike = _equal(*_hashes(cells, rest), at) if rest else at.is_not_null()
    return Matching(_states(same, at), at, alike, rewritten)


def _without_rewritten(cells: _Cells, at: pl.Series, least: float) -> tuple[tuple[str, ...], pl.Series]:
    """Return the columns without which at least so many rows meet one, and where they do."""
    overlap = {name: float(a.is_in(b.implode()).mean() or 0.0) for name, (a, b) in cells.items()}
    names = list(cells)
    first = tuple(name for name in names if overlap[name] < _HALF)
    others = [name for name in names if name not in first][:_TRIED]
    tried = [(), *([first] if first else []), *((*first, name) for name in others)]
    different = _hashes(cells, names)[1].n_unique() if names else 0
    best: tuple[str, ...] = ()
    met = at
    for left_out in tried:
        kept = [name for name in names if name not in left_out]
        if not kept:
            continue
        mine, theirs = _hashes(cells, kept)
        if theirs.n_unique() < _DISTINCT * different:
            if left_out == first:
                break  # without one more still less is told apart
            continue
        found = _also(at, mine, theirs)
        if found.null_count() < met.null_count():
            best, met = left_out, found
        if len(left_out) <= len(first) and len(met) - met.null_count() >= least:
            break
    return (best, met) if len(met) - met.null_count() >= least else ((), _also(at, *_hashes(cells, names)))


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
    rows = at.is_null().arg_true()
    free = pl.Series(range(len(theirs)), dtype=pl.Int64)
    free = free.filter(~free.is_in(at.drop_nulls().implode()))
    met = _meet(mine.gather(rows), theirs.gather(free))
    return at.clone().scatter(rows, free.gather(met))  # it sets in place


def _counted(keys: pl.Series) -> pl.DataFrame:
    return keys.alias("key").to_frame().with_columns(nth=pl.int_range(pl.len()).over("key"))


def _equal(mine: pl.Series, theirs: pl.Series, at: pl.Series) -> pl.Series:
    """Return whether a row is met that has the same hash, Boolean (n,)."""
    return (mine == theirs.gather(at)).fill_null(value=False)


def _differ(mine: pl.Series, theirs: pl.Series, at: pl.Series) -> bool:
    met = at.is_not_null()
    return bool((mine != theirs.gather(at)).filter(met).mean() > _HALF)


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
