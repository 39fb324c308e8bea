"""The choice of λ by approximate leave-one-out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import make
from reference import scores, without

from dataaudit.influence import groups as numerics
from dataaudit.influence.groups import Groups
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.newton import minimise
from dataaudit.solvers.sketch import Sketch
from dataaudit.training import path as paths
from dataaudit.training.folds import SparseFolds
from dataaudit.training.path import (
    DensePath,
    PathPoint,
    is_cheap,
    l2_path,
    least_squares_loss,
    left_out_scores,
    path_inverse,
)


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


def wide_case():
    """Rows that a model of five classes fits nearly by themselves, too many for exact forms at every λ."""
    return make("", 600, 900, 5, sparse=True, noise=0.5)


def test_several_classes_are_judged_by_rows_that_were_left_out():
    """Where rows nearly fit themselves a sketch of their forms says far too little.

    It takes seconds: fewer rows, or classes, have exact forms.
    """
    case = wide_case()
    objective = case.objective(1e-5)
    assert not is_cheap(objective)
    theta = minimise(objective).theta
    value, model = objective.model.loss.value, objective.model
    exact, sketched = (
        float(value(left_out_scores(objective, theta, forms, groups=None), case.y).mean())
        for forms in (Dual().prepare(objective, theta), Sketch().prepare(objective, theta))
    )
    folded = SparseFolds(objective.rows, 5).at(objective.l2).mean
    assert folded == pytest.approx(exact, rel=0.2)
    assert sketched < 0.7 * exact
    path = l2_path(objective.rows, model)
    assert min(path.points, key=lambda point: point.loo_loss).l2 > 1e-4


def test_features_that_carry_nothing_end_at_a_large_ridge_without_complaint():
    rows = MemoryRows(torch.zeros(20, 2).double(), torch.arange(20) % 2, torch.ones(20).double())
    path = l2_path(rows, LinearModel(Softmax(2), 2))
    assert path.chosen.loo_loss == pytest.approx(0.6931 + 0.05, abs=0.06)
    assert torch.isfinite(path.theta).all()


def test_what_lies_behind_a_worse_ridge_does_not_count(monkeypatch):
    # After 2^-14 the loss rises at 2^-16, and at 2^-18 it is the least by chance.
    losses = {-10: 0.5, -12: 0.4, -13: 0.35, -14: 0.3, -15: 0.32, -16: 0.6, -18: 0.1}

    def judge(search, j, start):
        return PathPoint(search.scale * 2.0**j, losses[j], 0.01), torch.zeros(3)

    monkeypatch.setattr(paths._Search, "_point", judge)
    rows = make("", 20, 2, 2).objective().rows
    path = l2_path(rows, LinearModel(Softmax(2), 2))
    assert path.chosen.loo_loss == 0.3


def clustered(n_classes=2):
    """Sixty rows in groups of one to six that are near one another."""
    case = make("", 60, 4, n_classes)
    group = np.resize(np.repeat(np.arange(6), np.arange(1, 7)), 60) + 6 * (np.arange(60) // 21)
    centre = case.X[np.unique(group, return_index=True)[1][np.unique(group, return_inverse=True)[1]]]
    groups = Groups(np.unique(group, return_inverse=True)[1], np.arange(60), np.full(60, -1))
    return replace(case, X=centre + 0.3 * case.X, l2=0.03), groups


@pytest.mark.parametrize("most", [numerics.MOST, 0])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_dense_path_leaves_groups_out_as_the_exact_step_does(n_classes, most, monkeypatch):
    """Sums over groups; by the equations of the rows, and of the parameters."""
    monkeypatch.setattr(numerics, "MOST", most)
    case, groups = clustered(n_classes)
    objective = case.objective()
    theta = minimise(objective).theta
    s = left_out_scores(objective, theta, Cholesky().prepare(objective, theta), groups=groups)
    losses = objective.model.loss.value(s, case.y)
    found = DensePath(case.X, case.y, n_classes, groups=groups).at(case.l2)
    sums = torch.stack([losses[groups.group == g].sum() for g in range(groups.group.max() + 1)])
    assert found.losses.numpy() == pytest.approx((sums * len(sums) / 60).numpy(), abs=2e-3)
    assert found.mean == pytest.approx(float(losses.mean()), abs=5e-4)


@pytest.mark.parametrize("most", [numerics.MOST, 0])
def test_least_squares_without_a_group_is_that_of_the_other_rows(most, monkeypatch):
    monkeypatch.setattr(numerics, "MOST", most)
    case, groups = clustered()
    Y = torch.nn.functional.one_hot(case.y, 2).double()
    loss, l2 = least_squares_loss(case.X, Y, groups=groups)
    A = np.column_stack([case.X.numpy(), np.ones(60)])
    errors = []
    for g in range(groups.group.max() + 1):
        kept = groups.group != g
        ridge = 60 * l2 * np.diag([1.0] * 4 + [0.0])
        theta = np.linalg.solve(A[kept].T @ A[kept] + ridge, A[kept].T @ Y.numpy()[kept])
        errors += ((Y.numpy() - A @ theta) ** 2).sum(1)[~kept].tolist()
    assert loss == pytest.approx(np.mean(errors), rel=1e-3)


def test_a_sketch_leaves_groups_out_too():
    case, groups = clustered()
    objective = case.objective()
    theta = minimise(objective).theta
    exact, sketch = (
        left_out_scores(objective, theta, inverse, groups=groups)
        for inverse in (Cholesky().prepare(objective, theta), Sketch(probes=2000).prepare(objective, theta))
    )
    value = objective.model.loss.value
    assert float(value(sketch, case.y).mean()) == pytest.approx(float(value(exact, case.y).mean()), rel=0.03)


def test_rows_that_are_alike_take_less_ridge_unless_they_leave_together():
    """Twelve mails and their copies: alone, each is given away by the others."""
    case = make("", 40, 20, 2, noise=3.0)
    order = np.repeat(np.arange(40), 4)
    rows = MemoryRows(case.X[order], case.y[order], torch.ones(160, dtype=torch.float64))
    model = LinearModel(Softmax(2), 20)
    groups = Groups(order, order, order)
    single = l2_path(MemoryRows(case.X, case.y, case.weight), model)
    alone, together = l2_path(rows, model), l2_path(rows, model, groups=groups)
    assert alone.chosen.l2 < together.chosen.l2
    assert together.chosen.l2 == pytest.approx(single.chosen.l2, rel=1e-6)
    assert together.chosen.standard_error == pytest.approx(single.chosen.standard_error, rel=0.02)


def test_whole_groups_are_drawn():
    groups = clustered()[1]
    rows = groups.draw(40, 0)
    assert 20 <= len(rows) <= 40
    assert set(groups.group[rows]).isdisjoint(np.delete(groups.group, rows))
    assert Groups(np.zeros(60, int), np.arange(60), np.arange(60)).draw(40, 0) is None
