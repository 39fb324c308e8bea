"""The search for λ brackets the minimum wherever it starts."""

import math

import pytest
import torch

from dataaudit.training.curve import LEAST, MOST, Curve, PathLoss

ROWS = torch.linspace(-1.0, 1.0, 101, dtype=torch.float64)


class Drawn(Curve):
    """A curve of a given loss at log10 λ, which all rows share."""

    def __init__(self, loss, dear=False):
        super().__init__()
        self.loss, self.dear = loss, dear

    def _evaluate(self, l2):
        return PathLoss(l2, ROWS + self.loss(math.log10(l2)), torch.empty(0))


def dipping(x):
    """A bowl at λ = 0.01, and a dip at 1e-5 that does not reach as low."""
    return min(0.3 * abs(x + 2), 0.5 + abs(x + 5))


@pytest.mark.parametrize("start", [1e-6, 3e-6, 1e-5, 1e-4, 1e-2, 0.5])
@pytest.mark.parametrize("loss", [lambda x: abs(x + 2), dipping])
def test_the_minimum_is_found_from_any_start(start, loss):
    curve = Drawn(loss)
    assert math.log10(curve.search(start).l2) == pytest.approx(-2, abs=0.26)
    tried = sorted(curve.found)
    at = tried.index(min(tried, key=lambda l2: curve.found[l2].mean))
    assert 0 < at < len(tried) - 1


@pytest.mark.parametrize("end", [LEAST, MOST])
def test_a_loss_that_only_falls_ends_at_the_end(end):
    towards = 1 if end == MOST else -1
    curve = Drawn(lambda x: -towards * x)
    assert curve.search(1e-4).l2 == pytest.approx(end, rel=4)
    assert all(LEAST <= l2 <= MOST for l2 in curve.found)


def test_a_failed_fit_is_never_the_choice():
    curve = Drawn(lambda x: math.inf if x < -3 else x)
    assert -3 <= math.log10(curve.search(1e-5).l2) < -1


def test_where_all_fits_fail_the_largest_ridge_is_taken():
    curve = Drawn(lambda _: math.inf)
    assert curve.search(1e-3).l2 == max(curve.found)


def test_a_dear_curve_does_not_halve_its_steps():
    quick, dear = Drawn(lambda x: abs(x + 2)), Drawn(lambda x: abs(x + 2), dear=True)
    quick.search(1e-3), dear.search(1e-3)
    assert len(quick.found) == len(dear.found) + 2


@pytest.mark.parametrize("start", [1e-6, 1e-4, 1e-2, 0.05, 0.5])
def test_the_strongest_ridge_is_tried_first(start):
    curve = Drawn(lambda x: abs(x + 4))
    curve.search(start)
    first, *others = curve.found
    assert first > start
    assert first > max(others)
