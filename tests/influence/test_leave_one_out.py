"""One step without a row, against the refits that it stands for."""

import pytest
import torch
from cases import CASES, IDS, Case, make
from reference import minimum, relabelled, scores, without

from dataaudit.influence.leave_one_out import (
    leave_one_out_scores,
    refit_relabelled,
    refit_without,
    relabelled_scores,
)
from dataaudit.solvers import choose_solver
from dataaudit.solvers.newton import FitSettings, minimise

# Small tables whose rows are many enough for one step to be near; binary, softmax, sparse, weighted, wide.
PROBLEMS = [
    make("binary", 50, 3, 2, l2=0.03),
    make("binary, wide", 30, 40, 2, l2=0.1),
    make("binary, weighted", 50, 3, 2, weighted=True, l2=0.03),
    make("softmax", 50, 3, 3, l2=0.03),
    make("softmax, sparse", 40, 8, 4, sparse=True, l2=0.1),
]
NAMES = [case.name for case in PROBLEMS]


def prepared(case):
    objective = case.objective()
    fit = minimise(objective, settings=FitSettings(tolerance=1e-11))
    solver = choose_solver(objective).prepare(objective, fit.theta)
    return objective, fit, solver, solver.quadratic_forms()


def pearson(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_one_step_is_near_the_true_refit(case):
    objective, fit, _, forms = prepared(case)
    s = leave_one_out_scores(objective, fit.theta, forms)
    true = torch.stack([scores(case, without(case, i, fit.theta))[i] for i in range(len(case.y))])
    value = objective.model.loss.value
    predicted, actual = value(s, case.y), value(true, case.y)
    before = value(objective.scores(fit.theta), case.y)
    assert pearson(predicted, actual) >= 0.999
    moved = case.weight > 0
    slope = (predicted - before) @ (actual - before) / ((actual - before) @ (actual - before))
    assert 0.9 <= float(slope) <= 1.05
    assert torch.equal(s[~moved], objective.scores(fit.theta)[~moved]), (
        "a row of weight 0 leaves nothing behind"
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_one_step_is_exactly_one_newton_step(case):
    """Without row i, from θ̂:  θ - (H - Hᵢ/n)⁻¹ (-ωᵢ gᵢ/n), all dense and by autograd."""
    from reference import hessian, row_gradients

    objective, fit, _, forms = prepared(case)
    s = leave_one_out_scores(objective, fit.theta, forms)
    g, n = row_gradients(case, fit.theta), len(case.y)
    for i in range(0, n, 7):
        weight = case.weight.clone()
        weight[i] = 0.0
        step = torch.linalg.solve(hessian(case, fit.theta, weight=weight), case.weight[i] * g[i] / n)
        expected = scores(case, fit.theta + step)[i]
        torch.testing.assert_close(s[i], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_same_label_again_changes_nothing(case):
    objective, fit, _, forms = prepared(case)
    s = relabelled_scores(objective, fit.theta, forms, y=case.y)
    torch.testing.assert_close(s, objective.scores(fit.theta), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_another_label_is_near_the_true_refit(case):
    objective, fit, _, forms = prepared(case)
    other = (case.y + 1) % case.n_classes
    s = relabelled_scores(objective, fit.theta, forms, y=other)
    true = torch.stack(
        [scores(case, relabelled(case, i, int(other[i]), fit.theta))[i] for i in range(len(case.y))]
    )
    value = objective.model.loss.value
    # A row that changes sides moves the fit twice as far as one that leaves.
    assert pearson(value(s, other), value(true, other)) >= 0.99
    assert float((s - true).abs().median()) < 0.05


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_another_label_solves_its_equation(case):
    """s' = s₋ - (ω/n) Q₋ r(s', y'), with Q₋ from a dense inverse without the row."""
    from reference import quadratic_forms

    objective, fit, _, forms = prepared(case)
    other = (case.y + 1) % case.n_classes
    s = relabelled_scores(objective, fit.theta, forms, y=other)
    base = leave_one_out_scores(objective, fit.theta, forms)
    n = len(case.y)
    for i in range(0, n, 9):
        weight = case.weight.clone()
        weight[i] = 0.0
        Q = quadratic_forms(case, fit.theta, weight=weight)[i]
        r = objective.model.loss.slope(s[i : i + 1], other[i : i + 1])[0]
        torch.testing.assert_close(s[i], base[i] - case.weight[i] / n * Q @ r, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("l2", [1e-4, 1e-7])
def test_another_label_for_a_row_far_on_its_side(l2):
    """Wide margins and little ridge: the new label's score is tens of units away, and is still found."""
    case = make("", 20, 3, 2, noise=0.0)
    far = case.X + 30.0 * torch.where(case.y == 1, 1.0, -1.0)[:, None]
    objective, fit, _, forms = prepared(Case("", far, case.y, case.weight, 2, l2))
    s = relabelled_scores(objective, fit.theta, forms, y=1 - case.y)
    base = leave_one_out_scores(objective, fit.theta, forms)
    assert torch.isfinite(s).all()
    towards = torch.where(case.y == 1, -1.0, 1.0)
    assert ((s - base)[:, 0] * towards >= 0).all(), "towards the new label"


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_refits_equal_fits_from_scratch(case):
    objective, fit, solver, _ = prepared(case)
    weight, y = case.weight.clone(), case.y.clone()
    weight[4], y[4] = 0.0, (int(case.y[4]) + 1) % case.n_classes
    for precondition in (None, solver.solve):
        gone = refit_without(objective, fit, 4, precondition=precondition).require_converged()
        torch.testing.assert_close(gone.theta, minimum(case, weight=weight), rtol=1e-5, atol=1e-6)
        changed = refit_relabelled(objective, fit, 4, label=int(y[4]), precondition=precondition)
        torch.testing.assert_close(
            changed.require_converged().theta, minimum(case, y=y), rtol=1e-5, atol=1e-6
        )
    assert torch.equal(objective.rows.weight, case.weight)
    assert torch.equal(objective.rows.y, case.y)
