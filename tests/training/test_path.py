"""The choice of λ by approximate leave-one-out."""

from dataclasses import replace

import pytest
import torch
from cases import make
from reference import scores, without

from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky
from dataaudit.solvers.newton import minimise
from dataaudit.solvers.sketch import Sketch
from dataaudit.training.path import l2_path, path_inverse


def path_of(case, **options):
    objective = case.objective()
    return l2_path(objective.rows, objective.model, **options)


@pytest.fixture(scope="module")
def case():
    return make("", 40, 4, 2, noise=0.5)


@pytest.fixture(scope="module")
def path(case):
    return path_of(case)


def test_curve_is_that_of_true_leave_one_out(case, path):
    """One refit a row and a λ; a few percent where the ridge is not far below its best."""
    points = [point for point in path.points if point.l2 >= path.chosen.l2 / 8]
    assert len(points) >= 3
    for point in points:
        here = replace(case, l2=point.l2)
        objective = here.objective()
        theta = minimise(objective).theta
        refits = torch.stack([scores(here, without(here, i, theta))[i] for i in range(len(case.y))])
        losses = objective.model.loss.value(refits, case.y)
        assert point.loo_loss == pytest.approx(float(losses.mean()), rel=0.03)
        assert point.standard_error == pytest.approx(float(losses.std() / 40**0.5), rel=0.1)


def test_minimum_is_inside_the_curve(path):
    losses = [point.loo_loss for point in path.points]
    assert 0 < losses.index(min(losses)) < len(losses) - 1
    assert [point.l2 for point in path.points] == sorted(point.l2 for point in path.points)


def test_choice_is_the_largest_within_one_standard_error(path):
    best = min(path.points, key=lambda point: point.loo_loss)
    limit = best.loo_loss + best.standard_error
    assert path.chosen.l2 >= best.l2
    assert path.chosen.loo_loss <= limit
    larger = [point for point in path.points if point.l2 > path.chosen.l2]
    assert larger, "the next one was tried"
    assert larger[0].l2 == pytest.approx(2 * path.chosen.l2)
    assert larger[0].loo_loss > limit


def test_theta_is_near_the_minimum_at_the_choice(case, path):
    objective = case.objective(l2=path.chosen.l2)
    assert float(objective.gradient(path.theta).abs().max()) < 1e-4
    assert minimise(objective, path.theta).steps <= 3


def test_every_point_is_told_as_it_comes(case, path):
    told = []
    again = path_of(case, on_point=told.append)
    assert sorted(told, key=lambda point: point.l2) == list(path.points)
    assert again.chosen == path.chosen


@pytest.mark.parametrize("factor", [10.0, 1e-6])
def test_scale_of_the_features_scales_the_ridge_and_nothing_else(case, path, factor):
    scaled = path_of(replace(case, X=case.X * factor))
    assert scaled.chosen.l2 == pytest.approx(path.chosen.l2 * factor**2, rel=1e-12)
    assert len(scaled.points) == len(path.points)
    for one, two in zip(path.points, scaled.points, strict=True):
        assert two.l2 == pytest.approx(one.l2 * factor**2, rel=1e-12)
        assert two.loo_loss == pytest.approx(one.loo_loss, rel=1e-4)


def test_noise_asks_for_more_ridge_than_a_clear_rule():
    clear, noisy = (path_of(make("", 80, 8, 2, noise=noise)).chosen.l2 for noise in (0.05, 3.0))
    assert noisy > 4 * clear


def test_rows_of_weight_zero_have_no_say():
    case = make("", 30, 3, 3)
    strange = torch.full((10, 3), 5.0, dtype=torch.float64)
    padded = replace(
        case,
        X=torch.cat([case.X, strange]),
        y=torch.cat([case.y, torch.zeros(10, dtype=torch.long)]),
        weight=torch.cat([torch.ones(30), torch.zeros(10)]).double(),
    )
    plain, silent = case.objective(0.04), padded.objective(0.03)  # nλ is the same
    for objective in (plain, silent):
        assert minimise(objective).converged
    one, two = path_of(case), path_of(padded)
    for a in one.points:
        for b in two.points:
            if b.l2 * 40 == pytest.approx(a.l2 * 30, rel=1e-6):
                assert b.loo_loss == pytest.approx(a.loo_loss, rel=1e-3)
                assert b.standard_error == pytest.approx(a.standard_error, rel=1e-2)


def test_forms_are_exact_where_that_is_cheap_whatever_the_shape():
    for case in (make("", 300, 5, 2), make("", 40, 3000, 2, sparse=True)):
        objective = case.objective()
        theta = minimise(objective).theta
        forms = path_inverse(objective, theta).quadratic_forms()
        if objective.model.n_params < 100:
            exact = Cholesky().prepare(objective, theta).quadratic_forms()
            torch.testing.assert_close(forms, exact, rtol=1e-9, atol=0)
        else:
            sketch = Sketch(probes=512).quadratic_forms(objective, theta)
            assert float((sketch / forms - 1).abs().mean()) < 0.1


def test_sketched_curve_is_near_the_exact_one():
    case = make("", 150, 30, 2)
    objective = case.objective(l2=0.02)
    theta = minimise(objective).theta
    losses = []
    for forms in (
        path_inverse(objective, theta).quadratic_forms(),
        Sketch().quadratic_forms(objective, theta),
    ):
        s = leave_one_out_scores(objective, theta, forms)
        losses.append(float(objective.model.loss.value(s, case.y).mean()))
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_features_that_carry_nothing_end_at_a_large_ridge_without_complaint():
    rows = MemoryRows(torch.zeros(20, 2).double(), torch.arange(20) % 2, torch.ones(20).double())
    path = l2_path(rows, LinearModel(Softmax(2), 2))
    assert path.chosen.loo_loss == pytest.approx(0.6931 + 0.05, abs=0.06)
    assert torch.isfinite(path.theta).all()
