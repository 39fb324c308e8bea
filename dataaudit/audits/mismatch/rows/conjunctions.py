"""Conjunctions: rows for which two or three things can be said together, found by bound and prune.

The score of a slice is the difference of its labels D (`screen`) less `EACH` for every further condition. D
of any part of a slice is below the sum over both tables of max (Σr)²/(2ΣV) over their rows. A row with
residual r has V = |r| (1 - |r|), and of rows of one sign the best part is always those with |r| above some
limit: exchanging one for a larger residual pays whenever adding it did. So the bound of a slice is the best
prefix of its rows in the order of |r|, a cumulative sum. Conditions whose bound is below the best scores so
far lead nowhere, whatever they are combined with, as in SliceLine (Sagadeeva & Boehm 2021); the others are
crossed by products of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from dataaudit.audits.mismatch.rows.cuts import Cuts, Slice
from dataaudit.audits.mismatch.rows.refine import refine
from dataaudit.audits.mismatch.rows.screen import Screen, Side, differences, share
from dataaudit.audits.mismatch.rows.slices import MOVES, confirmed, unlike
from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.options.progress import ticking

# Nats that a further condition must bring, and conditions at most.
EACH, DEPTH = 3.0, 3
# Rows of a conjunction in each table at least; conjunctions that each half proposes.
FEWEST, PROPOSED = 5, 4
# Conditions that are crossed: so many multiplications, and so many in all.
WORK, MOST = 5e9, 300
# Pairs whose bound is asked for.
PAIRS, BOUNDED = 1500, 1e7
# Training rows that the search looks at.
ROWS = 20_000

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]
Members = tuple[int, ...]  # numbers of conditions, increasing
Found = tuple[float, Members]  # score, and what it belongs to


@dataclass(frozen=True)
class Table:
    """One side of the search: residuals of its b rows, and which of m conditions they fulfil."""

    side: Side
    members: csc_array  # (b, m)

    def bounds(self) -> Reals:
        """Return what these rows can add to D of any part of each condition."""  # (m,)
        r, prior = self.side.r, self.side.prior
        best = np.sum([best_part(self.members, r[:, c], prior) for c in range(r.shape[1])], axis=0)
        return np.asarray(best * share(r.shape[1]) / 2.0)

    def take(self, conditions: Rows) -> Table:
        """Return it with some of the conditions."""
        return Table(self.side, self.members[:, conditions])

    def both(self, first: Rows, second: Rows) -> Table:
        """Return it with pairs of conditions."""
        return Table(self.side, csc_array(self.members[:, first].multiply(self.members[:, second])))

    def cross(self, other: Table) -> tuple[tuple[Reals, Reals], Reals]:
        """Return ΣR and ΣV of the rows that each condition shares with each other one, and their number."""
        A, B = (table.members.astype(np.float32).toarray() for table in (self, other))
        r, V = self.side.r.astype(np.float32), self.side.V.astype(np.float32)
        classes = range(r.shape[1])
        R = np.stack([(A * r[:, c, None]).T @ B for c in classes], axis=-1)
        W = np.stack([(A * V[:, c, None]).T @ B for c in classes], axis=-1)
        return (R, W + self.side.prior), A.T @ B  # (m, m', K), (m, m')


def best_part(members: csc_array, r: Reals, prior: float) -> Reals:
    """Return the largest (Σr)²/(ΣV + prior) over all parts of each column's rows."""  # (b, m), (b,) -> (m,)
    best = np.zeros(members.shape[1])
    for x in (np.maximum(r, 0.0), np.maximum(-r, 0.0)):
        order = np.argsort(-x, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        part = csc_array((members.data, place[members.indices], members.indptr), shape=members.shape)
        part.sort_indices()
        own = x[order][part.indices]
        R, V = (_cumulative(values, part.indptr) for values in (own, own * (1.0 - own)))
        some = np.flatnonzero(np.diff(part.indptr))
        if len(some):
            tops = np.maximum.reduceat(R**2 / (V + prior), part.indptr[some])
            best[some] = np.maximum(best[some], tops)
    return best


def _cumulative(values: Reals, starts: Rows) -> Reals:
    """Return cumulative sums that begin anew at each start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    found: Reals = total[1:] - np.repeat(total[starts[:-1]], np.diff(starts))
    return found


def conjunction_suspects(cuts: Cuts, world: World) -> list[Suspect]:
    """Return conjunctions that the test rows confirm."""
    screen, n = Screen(world.trained, world), world.objective.rows.n
    rows = np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(np.int64))
    found: list[Slice] = []
    for half in ticking(screen.halves):
        tables = (
            Table(_rows_of(screen.known, rows), csc_array(cuts.train[rows])),
            Table(_rows_of(screen.new, np.flatnonzero(half)), csc_array(cuts.test[world.rows[half]])),
        )
        best = [members for _, members in search(*tables, cuts.columns, top=4 * PROPOSED) if len(members) > 1]
        found += unlike(refine(screen, cuts, members) for members in best)[:PROPOSED]
    return confirmed(screen, unlike(found), tried=MOVES * cuts.m**2)


def _rows_of(side: Side, rows: Rows) -> Side:
    """Return some rows; of two classes one says all."""
    first = 1 if side.r.shape[1] == 2 else 0  # noqa: PLR2004
    return Side(side.r[rows, first:], side.V[rows, first:], side.prior)


def search(known: Table, new: Table, columns: Sequence[str], *, top: int = 1) -> list[Found]:
    """Return the best conjunctions of up to three conditions on different columns, single ones among them.

    Each scores above every one of its parts. Exact unless more conditions survive than `WORK` allows.
    """
    code, tables = np.unique(np.array(columns), return_inverse=True)[1], (known, new)
    score = differences(known.side.sums(known.members), new.side.sums(new.members))
    enough = np.min([np.diff(table.members.indptr) for table in tables], axis=0) >= FEWEST
    score[~enough] = -np.inf
    known_scores: dict[Members, float] = {(i,): float(value) for i, value in enumerate(score)}
    found = sorted(((v, m) for m, v in known_scores.items() if np.isfinite(v)), key=_order)[:top]
    bound = known.bounds() + new.bounds()
    kept = _surviving(np.where(enough, bound, 0.0), found, top, EACH, _affordable(tables))
    frontier: list[Members] = [(int(i),) for i in kept]
    atoms, grown = [table.take(kept) for table in tables], [table.take(kept) for table in tables]
    for depth in range(1, DEPTH):
        if not frontier:
            break
        crossed = [a.cross(b) for a, b in zip(grown, atoms, strict=True)]
        score = differences(crossed[0][0], crossed[1][0]) - EACH * depth
        valid = _combinable(frontier, kept, code) & (np.minimum(crossed[0][1], crossed[1][1]) >= FEWEST)
        score[~valid] = -np.inf
        if depth == 1:
            i, j = np.nonzero(np.isfinite(score))
            pairs = zip(kept[i].tolist(), kept[j].tolist(), strict=True)
            known_scores |= dict(zip(pairs, score[i, j].tolist(), strict=True))
        names = lambda i, j: (*frontier[i], int(kept[j]))  # noqa: E731, B023 - used at once
        found = _best(found, score, names, known_scores, top)
        if depth + 1 < DEPTH:
            frontier, grown = _pairs(tables, kept, score, found, top)
    return found


def _order(one: Found) -> tuple[float, int, Members]:
    return -one[0], len(one[1]), one[1]


def _surviving(bound: Reals, found: list[Found], top: int, penalty: float, most: int) -> Rows:
    """Return what can still lead to one of the best, the most promising where that is too much."""
    least = found[-1][0] if len(found) == top else 0.0
    kept = np.flatnonzero(bound - penalty > max(least, 0.0))
    return np.sort(kept[np.argsort(-bound[kept], kind="stable")[:most]])


def _affordable(tables: tuple[Table, Table]) -> int:
    """Return how many conditions can be crossed."""
    rows, K = sum(table.side.r.shape[0] for table in tables), tables[0].side.r.shape[1]
    return min(MOST, int(np.sqrt(WORK / (4.0 * rows * K))))


def _combinable(frontier: list[Members], kept: Rows, code: Rows) -> NDArray[np.bool_]:
    """Tell which conditions come after all those of a conjunction and are on other columns."""
    members = np.array(frontier)
    other = (code[members][:, :, None] != code[kept]).all(1)
    return np.asarray(other & (members.max(1)[:, None] < kept))


def _best(
    found: list[Found],
    score: Reals,
    names: Callable[[int, int], Members],
    known: dict[Members, float],
    top: int,
) -> list[Found]:
    """Return the best so far, with those that score above their parts."""
    fresh: list[Found] = []
    rows, columns = np.nonzero(score > (found[-1][0] if len(found) == top else 0.0))
    for at in np.argsort(-score[rows, columns], kind="stable"):
        members = names(rows[at], columns[at])
        value = float(score[rows[at], columns[at]])
        if value > max(known.get(part, -np.inf) for part in _parts(members)):
            fresh.append((value, members))
        if len(fresh) == top:
            break
    return sorted([*found, *fresh], key=_order)[:top]


def _parts(members: Members) -> list[Members]:
    return [part for size in range(1, len(members)) for part in combinations(members, size)]


def _pairs(
    tables: tuple[Table, Table],
    kept: Rows,
    score: Reals,
    found: list[Found],
    top: int,
) -> tuple[list[Members], list[Table]]:
    """Return the pairs that can still lead to one of the best."""
    i, j = np.nonzero(np.isfinite(score))
    rows, K = sum(table.side.r.shape[0] for table in tables), tables[0].side.r.shape[1]
    best = np.argsort(-score[i, j], kind="stable")[: min(PAIRS, int(BOUNDED / (rows * K)))]
    i, j = i[best], j[best]
    both = [table.both(kept[i], kept[j]) for table in tables]
    bound = both[0].bounds() + both[1].bounds()
    some = _surviving(bound, found, top, EACH * 2, _affordable(tables))
    return [(int(kept[i[s]]), int(kept[j[s]])) for s in some], [table.take(some) for table in both]
