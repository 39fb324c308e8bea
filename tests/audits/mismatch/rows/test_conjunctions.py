"""The search finds what brute force over all pairs and triples finds, and its bound is one."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from audits.mismatch.rows.planted import case, gain, labelled, table
from scipy.sparse import csc_array

from dataaudit.audits.mismatch.rows.conjunctions import (
    EACH,
    FEWEST,
    Table,
    best_part,
    conjunction_suspects,
    search,
)
from dataaudit.audits.mismatch.rows.cuts import cut
from dataaudit.audits.mismatch.rows.screen import Side, differences


def conjunctions_of(made):
    """Conjunctions that are suspected in a pair with its model, predictions and world."""
    pair, trained, tested, world = made
    return conjunction_suspects(cut(pair.train, trained, tested), world)


def made(seed, classes):
    """Return both tables and the columns of 15 conditions, with a slice of test whose labels differ."""
    random, columns = np.random.default_rng(seed), [f"c{i // 3}" for i in range(15)]
    tables = []
    for n, prior, planted in ((300, 20.0, 0), (200, 2.0, int(random.integers(1, 4)))):
        X = random.integers(0, 3, (n, 5))
        p = random.dirichlet(np.ones(classes), n)
        y = np.array([random.choice(classes, p=row) for row in p])
        hit = (X[:, :planted] == random.integers(0, 3, planted)).all(1) & (planted > 0)
        y[hit] = random.integers(0, classes)
        side, first = Side.of(p, y, prior), classes == 2
        members = np.stack([X[:, i // 3] == i % 3 for i in range(15)], axis=1).astype(float)
        tables.append(Table(Side(side.r[:, first:], side.V[:, first:], prior), csc_array(members)))
    return tables, columns


def brute_force(tables, columns, top):
    """Score every slice of up to three conditions by its rows."""
    masks, scores = [table.members.toarray() > 0 for table in tables], {}
    for depth in (1, 2, 3):
        for members in combinations(range(len(columns)), depth):
            rows = [mask[:, members].all(1) for mask in masks]
            if len({columns[i] for i in members}) == depth and min(r.sum() for r in rows) >= FEWEST:
                sums = [
                    (t.side.r[r].sum(0), t.side.V[r].sum(0) + t.side.prior)
                    for t, r in zip(tables, rows, strict=True)
                ]
                scores[members] = float(differences(*sums)) - EACH * (depth - 1)
    parts = {m: [p for d in range(1, len(m)) for p in combinations(m, d)] for m in scores}
    kept = [m for m in scores if all(scores[m] > scores.get(part, -np.inf) for part in parts[m])]
    return sorted(kept, key=lambda m: -scores[m])[:top], scores


@pytest.mark.parametrize("seed", range(20))
def test_the_first_slices_are_those_of_brute_force(seed):
    tables, columns = made(seed, 2 + seed % 2)
    best, scores = brute_force(tables, columns, 3)
    found = search(*tables, columns, top=3)
    assert [members for _, members in found] == best
    assert [score for score, _ in found] == pytest.approx([scores[m] for m in best], rel=1e-4)


def test_no_part_of_a_slice_is_above_its_bound():
    random = np.random.default_rng(0)
    p = random.random(9)
    r = np.where(random.random(9) < 0.5, 1 - p, -p)
    V = p * (1 - p)
    parts = [np.array(part) for size in range(1, 10) for part in combinations(range(9), size)]
    slow = max(r[part].sum() ** 2 / (V[part].sum() + 2.0) for part in parts)
    found = best_part(csc_array(np.ones((9, 1))), r, 2.0)
    assert found == pytest.approx([slow])


def test_a_planted_pair_is_named_and_its_fix_helps():
    known = table(1500, 0)
    where = (pl.col("ward") == "north") & (pl.col("sex") == "f")
    made = case(labelled(known, where, "ill"), table(700, 1))
    one = conjunctions_of(made)[0]
    assert set(zip(one.columns, one.levels, strict=True)) == {("ward", "north"), ("sex", "f")}
    assert max(gain(made[3], fix) for fix in one.fixes) > 20
