"""A group of rows changed: one Newton step against its slow twin, and both against the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, IDS, make
from reference import hessian, minimum, newton_step, scores

from dataaudit.errors import NotPositiveDefinite, SettingError
from dataaudit.influence import groups
from dataaudit.influence.groups import (
    Partition,
    changed_objective,
    few_at_once,
    group_step,
    refit_group,
    scores_without_groups,
)
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.solvers import choose_solver, prepare
from dataaudit.solvers.base import solved_forms
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.solvers.operator import of_objective

PROBLEMS = [
    make("binary", 120, 4, 2, l2=0.02),
    make("binary, weighted", 120, 4, 2, weighted=True, l2=0.02),
    make("softmax", 120, 4, 3, l2=0.02),
    make("softmax, sparse", 120, 6, 4, sparse=True, l2=0.02),
    make("binary, wide", 60, 90, 2, l2=0.05),
]
NAMES = [case.name for case in PROBLEMS]
ROWS = torch.tensor([9, 2, 5, 11, 3])


def at_minimum(case):
    objective = case.objective()
    return objective, minimise(objective, settings=FitSettings(tolerance=1e-11))


def after(case, rows, *, factor=0.0, y=None):
    """The weights and labels that a change leaves."""
    weight, labels = case.weight.clone(), case.y.clone()
    weight[rows] *= factor
    if y is not None:
        labels[rows] = y
    return {"weight": weight, "y": labels}


@pytest.mark.parametrize("matrix_free", [False, True])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_one_step_is_newtons_by_a_dense_inverse(case, matrix_free, monkeypatch):
    """Removal, half weight and other labels; with a factored Hessian and by conjugate gradients."""
    objective, fit = at_minimum(case)
    precondition = None
    if matrix_free:
        monkeypatch.setattr(groups, "TINY", 0)
        precondition = choose_solver(objective).prepare(objective, fit.theta).solve
    other = (case.y[ROWS] + 1) % case.n_classes
    for change, asked in (
        (after(case, ROWS), {}),
        (after(case, ROWS, factor=0.5), {"weight": 0.5}),
        (after(case, ROWS, factor=1.0, y=other), {"y": other}),
        (after(case, ROWS, factor=0.25, y=other), {"y": other, "weight": 0.25}),
    ):
        found = group_step(objective, fit.theta, ROWS, precondition=precondition, **asked)
        torch.testing.assert_close(found, newton_step(case, fit.theta, **change), rtol=1e-6, atol=1e-7)
        assert torch.equal(objective.rows.weight, case.weight)
        assert torch.equal(objective.rows.y, case.y)


def test_without_a_preconditioner_the_diagonal_serves(monkeypatch):
    case = PROBLEMS[4]
    objective, fit = at_minimum(case)
    expected = group_step(objective, fit.theta, ROWS)
    monkeypatch.setattr(groups, "TINY", 0)
    monkeypatch.setattr(groups, "FitSettings", lambda: FitSettings(direct_limit=1))
    torch.testing.assert_close(group_step(objective, fit.theta, ROWS), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_refits_are_the_minimum_of_what_is_left(case):
    objective, fit = at_minimum(case)
    solve = choose_solver(objective).prepare(objective, fit.theta).solve
    other = (case.y[ROWS] + 1) % case.n_classes
    for precondition in (None, solve):
        gone = refit_group(objective, fit, ROWS, precondition=precondition).require_converged()
        truth = minimum(case, fit.theta, **after(case, ROWS))
        torch.testing.assert_close(gone.theta, truth, rtol=1e-5, atol=2e-6)
        turned = refit_group(objective, fit, ROWS, y=other, precondition=precondition).require_converged()
        truth = minimum(case, fit.theta, **after(case, ROWS, factor=1.0, y=other))
        torch.testing.assert_close(turned.theta, truth, rtol=1e-5, atol=2e-6)
        half = refit_group(objective, fit, ROWS, weight=0.5, precondition=precondition).require_converged()
        truth = minimum(case, fit.theta, **after(case, ROWS, factor=0.5))
        torch.testing.assert_close(half.theta, truth, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("case", PROBLEMS[:4], ids=NAMES[:4])
def test_the_step_tells_what_a_group_does_and_the_sum_of_influences_does_not(case):
    """Rows that are alike: the ten nearest to each of 12 rows, a twelfth of the data each."""
    objective, fit = at_minimum(case)
    solve = choose_solver(objective).prepare(objective, fit.theta).solve
    before, stepped, summed, true = objective.model.values(fit.theta, objective.rows.take(ROWS)), [], [], []
    assert len(before) == len(ROWS)
    for centre in range(12):
        rows = (case.dense - case.dense[centre]).norm(dim=1).argsort()[:10]
        block = objective.rows.take(rows)
        at = objective.model.values(fit.theta, block).mean()
        g = objective.model.gradient(fit.theta, block)[:, None]
        plain = fit.theta + (solve(g) / objective.rows.n)[:, 0]
        actual = refit_group(objective, fit, rows).require_converged().theta
        for thetas, losses in (
            (group_step(objective, fit.theta, rows), stepped),
            (plain, summed),
            (actual, true),
        ):
            losses.append(float(objective.model.values(thetas, block).mean() - at))
    stepped, summed, true = map(torch.tensor, (stepped, summed, true))
    assert float(torch.corrcoef(torch.stack([stepped, true]))[0, 1]) > 0.99
    error, plain_error = ((stepped - true) / true).abs().median(), ((summed - true) / true).abs().median()
    assert error < 0.1
    assert plain_error > 2 * error


def test_a_group_of_one_is_the_leave_one_out_step():
    from dataaudit.influence.leave_one_out import leave_one_out_scores

    objective, fit = at_minimum(PROBLEMS[2])
    forms = choose_solver(objective).prepare(objective, fit.theta).quadratic_forms()
    scores = leave_one_out_scores(objective, fit.theta, forms)
    for row in (0, 17, 101):
        theta = group_step(objective, fit.theta, torch.tensor([row]))
        torch.testing.assert_close(objective.scores(theta)[row], scores[row], rtol=1e-9, atol=1e-9)


def test_nothing_changed_moves_nothing():
    objective, fit = at_minimum(PROBLEMS[0])
    none = torch.empty(0, dtype=torch.int64)
    assert torch.equal(group_step(objective, fit.theta, none), fit.theta)
    for asked in ({"weight": 1.0}, {"y": PROBLEMS[0].y[ROWS]}):
        torch.testing.assert_close(group_step(objective, fit.theta, ROWS, **asked), fit.theta)


def test_away_from_the_minimum_only_the_groups_own_effect_counts():
    case = PROBLEMS[0]
    objective, fit = at_minimum(case)
    theta = fit.theta + 0.01
    found = group_step(objective, theta, ROWS)
    torch.testing.assert_close(found, newton_step(case, theta, **after(case, ROWS)), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        ([3, 3], {}, "a row is in the group twice"),
        ([0, 120], {}, "rows must lie between 0 and 119: got 0 to 120"),
        ([-1], {}, "rows must lie between 0 and 119"),
        ([1, 2], {"y": torch.tensor([1])}, "one class number from 0 to 1 for each row: got 1 for 2 rows"),
        ([1], {"y": torch.tensor([2])}, "one class number from 0 to 1"),
        ([1], {"weight": -1.0}, "nothing would be left"),
        (list(range(120)), {}, "nothing would be left to fit: got 120 rows at weight 0"),
    ],
)
def test_groups_that_make_no_sense_are_refused(rows, asked, message):
    objective = PROBLEMS[0].objective()
    with pytest.raises(SettingError, match=message):
        changed_objective(objective, torch.tensor(rows), **asked)


def test_a_hessian_that_the_group_held_up_is_an_error_in_words():
    case = make("", 30, 2, 2)
    X = torch.cat([case.X, torch.zeros(30, 1, dtype=torch.float64)], 1)
    X[4, 2] = 1.0
    objective = type(case)("", X, case.y, case.weight, 2, 0.0).objective()
    with pytest.raises(NotPositiveDefinite, match="the changed problem is singular"):
        group_step(objective, torch.zeros(4, dtype=torch.float64), torch.tensor([4]))


def parted(case):
    """Groups of one to seven rows; what each row is equal to."""
    sizes = np.resize([3, 1, 2, 5, 1, 7, 4], len(case.y))
    groups = np.repeat(np.arange(len(sizes)), sizes)[: len(case.y)]
    return groups, np.unique(case.dense.numpy(), axis=0, return_inverse=True)[1].reshape(-1)


def with_copies(case):
    """The rows, every third of which is the one before it, under the label that it had."""
    order = np.arange(len(case.y))
    order[2::3] -= 1
    return replace(case, name=f"{case.name}, copies", X=case.X[order])


def without_groups(case, groups, twins):
    objective, fit = at_minimum(case)
    solver = choose_solver(objective).prepare(objective, fit.theta)
    forms, partition = solver.quadratic_forms(), Partition.of(groups, twins)
    alone = leave_one_out_scores(objective, fit.theta, forms)
    found = scores_without_groups(objective, fit.theta, forms, joint=solver.joint_forms, partition=partition)
    once = few_at_once(solver.joint_forms, partition, forms.shape[1])
    again = scores_without_groups(objective, fit.theta, forms, joint=once, partition=partition)
    torch.testing.assert_close(again, found, rtol=1e-9, atol=1e-9)
    return fit.theta, alone, found


GROUPED = [*CASES, *map(with_copies, CASES[:2] + CASES[6:8] + CASES[9:11])]


@pytest.mark.parametrize("most", [groups.MOST, 0])
@pytest.mark.parametrize("case", GROUPED, ids=[case.name for case in GROUPED])
def test_scores_without_groups_are_one_newton_step_by_a_dense_inverse(case, most, monkeypatch):
    """By the equations of the rows, and of the parameters where a group is too large for those."""
    monkeypatch.setattr(groups, "MOST", most)
    parts, twins = parted(case)
    theta, alone, found = without_groups(case, parts, twins)
    for group in np.unique(parts):
        rows = torch.from_numpy(np.flatnonzero(parts == group))
        if len(rows) == 1:
            assert torch.equal(found[rows], alone[rows]), "a row alone leaves as it always did"
            continue
        expected = scores(case, newton_step(case, theta, **after(case, rows)))[rows]
        torch.testing.assert_close(found[rows], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rows_that_leave_alone_have_the_leave_one_out_scores(case):
    _, alone, found = without_groups(case, np.arange(len(case.y)), np.arange(len(case.y)))
    assert torch.equal(found, alone)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_joint_forms_are_those_of_the_dense_inverse(case):
    objective, fit = at_minimum(case)
    rows = torch.tensor([[4, 1, 7], [0, 3, 12]])
    X1 = torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], dim=1)
    inverse, eye = torch.linalg.inv(hessian(case, fit.theta)), torch.eye(case.n_classes - 1)
    for solver in ("cholesky", "dual", "cg"):
        found = prepare(objective, fit.theta, solver=solver).joint_forms(rows)
        lift = [torch.kron(X1[part], eye.double()) for part in rows]
        expected = torch.stack([part @ inverse @ part.T for part in lift])
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    by_products = ConjugateGradients(tolerance=1e-12).invert(of_objective(objective, fit.theta)).solve
    torch.testing.assert_close(solved_forms(objective, by_products, rows), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_thirty_groups_are_near_the_true_refits(n_classes):
    """Changes of the mean loss of groups of 2 to 20 rows: Pearson .999 or more, slope .97 to 1.03."""
    case = make("groups", 600, 8, n_classes, l2=0.01)
    sizes = np.random.default_rng(0).integers(2, 21, 30)
    parts = np.concatenate([np.repeat(np.arange(30), sizes), np.arange(30, 30 + 600 - sizes.sum())])
    theta, _, found = without_groups(case, parts, np.arange(600))
    value = case.objective().model.loss.value
    before = value(scores(case, theta), case.y)
    predicted, measured = [], []
    for group in range(30):
        rows = torch.from_numpy(np.flatnonzero(parts == group))
        true = value(scores(case, minimum(case, theta, **after(case, rows)))[rows], case.y[rows])
        predicted.append(float((value(found[rows], case.y[rows]) - before[rows]).mean()))
        measured.append(float((true - before[rows]).mean()))
    predicted, measured = np.array(predicted), np.array(measured)
    assert np.corrcoef(predicted, measured)[0, 1] >= 0.999
    assert 0.97 <= predicted @ measured / (measured @ measured) <= 1.03
