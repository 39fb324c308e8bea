"""Names of levels: spellings that say the same, and the assignment of least cost."""

import itertools

import numpy as np
import pytest

from dataaudit.audits.mismatch.causes.levels import _cheapest, form, repaired


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Male", " male"),
        ("new-york", "New York"),
        ("café", "Cafe"),
        ("cafÃ©", "café"),
        ("01", "1"),
        ("1.0", "1"),
    ],
)
def test_spellings_that_say_the_same(one, two):
    assert form(one) == form(two)


@pytest.mark.parametrize(
    ("one", "two"), [("a", "b"), ("1.5", "15"), ("+", "-"), ("<5", ">5"), ("1-2", "12"), ("-1", "1")]
)
def test_spellings_that_do_not(one, two):
    assert form(one) != form(two)


def test_a_text_that_was_right_stays():
    assert [repaired(text) for text in ("plain", "café", "Ã", "")] == ["plain", "café", "Ã", ""]


@pytest.mark.parametrize("seed", range(5))
def test_the_assignment_is_the_cheapest_of_all(seed):
    random = np.random.default_rng(seed)
    names, n = ["a", "b", "c", "d"], 60
    new, cost = random.choice(names, n).astype(object), random.random((n, 4))
    found, saved = _cheapest(cost, new, names, names, np.ones(n, dtype=bool))

    def total(order):
        return sum(cost[new == name, names.index(to)].sum() for name, to in zip(names, order, strict=True))

    best = min(itertools.permutations(names), key=total)
    assert found == {name: to for name, to in zip(names, best, strict=True) if name != to}
    assert saved == pytest.approx(total(names) - total(best))
