"""Influence: the definition, the sign, and what must follow from it."""

import pytest
import reference
import torch
from cases import CASES, IDS, make
from reference import hessian, minimum, row_gradients, scores, without

from dataaudit.influence.influence import (
    leverage,
    loss_gradients,
    pert_loss,
    self_influence,
    up_loss,
    up_params,
)
from dataaudit.model.rows import Block
from dataaudit.solvers import Cholesky, choose_solver
from dataaudit.solvers.newton import FitSettings, minimise

TIGHT = FitSettings(tolerance=1e-11)


def at_minimum(objective):
    theta = minimise(objective, settings=TIGHT).theta
    return theta, choose_solver(objective).prepare(objective, theta).quadratic_forms()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_self_influence_is_minus_up_loss_by_definition(case):
    """I_up,loss(z, z) = -gᵀ H⁻¹ g (Koh & Liang 2017, equation 2), all of it by autograd and a dense solve."""
    objective = case.objective()
    theta, forms = at_minimum(objective)
    g = row_gradients(case, theta)
    up_loss = -(g * torch.linalg.solve(hessian(case, theta), g.T).T).sum(1)
    found = self_influence(objective, theta, forms)
    torch.testing.assert_close(found, -up_loss, rtol=1e-8, atol=1e-12)
    assert (found >= 0).all()


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[6]], ids=lambda case: case.name)
def test_removing_a_row_raises_its_own_loss_by_about_its_self_influence(case):
    objective = case.objective(l2=0.1)
    theta, forms = at_minimum(objective)
    loss, n = objective.model.loss, objective.rows.n
    before = loss.value(scores(case, theta), case.y)
    predicted = self_influence(objective, theta, forms) / n
    after = []
    for row in range(12):
        weight = case.weight.clone()
        weight[row] = 0.0
        after.append(
            loss.value(objective.scores(minimise(case.objective(0.1, weight=weight)).theta), case.y)[row]
        )
    actual = torch.stack(after) - before[:12]
    assert (actual > 0).all()
    ratio = actual / predicted[:12]
    assert 1.0 <= ratio.median() < 1.5, "first order, and a little short of the truth"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_leverages_of_an_unpenalised_fit_sum_to_the_number_of_parameters(n_classes):
    """Σ tr(Wᵢ Qᵢ)/n = tr(H⁻¹ H) = p, the trace of a projection."""
    case = make("", 60, 4, n_classes)
    objective = case.objective(l2=0.0)
    theta, forms = at_minimum(objective)
    h = leverage(objective, theta, forms)
    assert float(h.sum()) == pytest.approx(objective.model.n_params, rel=1e-9)
    assert (h > 0).all()
    assert (h < n_classes - 1).all()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_leverages_sum_to_the_effective_number_of_parameters(case):
    """With a ridge: p - λ tr(H⁻¹ C)."""
    objective = case.objective()
    theta, forms = at_minimum(objective)
    H = hessian(case, theta)
    effective = torch.linalg.solve(H, hessian(case, theta, l2=0.0)).trace()
    assert float(leverage(objective, theta, forms).sum()) == pytest.approx(float(effective), rel=1e-9)


def test_a_row_of_weight_zero_has_no_leverage():
    case = next(case for case in CASES if (case.weight == 0).any())
    objective = case.objective()
    h = leverage(objective, *at_minimum(objective))
    assert (h[case.weight == 0] == 0).all()
    assert (h[case.weight > 0] > 0).all()


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[7]], ids=lambda case: case.name)
def test_rows_in_another_order_give_the_same_values_in_that_order(case):
    order = torch.randperm(len(case.y), generator=torch.Generator().manual_seed(0))
    shuffled = type(case)(
        "", case.X[order.numpy()], case.y[order], case.weight[order], case.n_classes, case.l2
    ).objective()
    objective = case.objective()
    one = self_influence(objective, *at_minimum(objective))
    two = self_influence(shuffled, *at_minimum(shuffled))
    torch.testing.assert_close(two, one[order], rtol=1e-7, atol=1e-12)


def test_a_row_that_is_there_twice_has_less_influence_on_itself():
    case = make("", 20, 3, 2)
    twice = type(case)(
        "", torch.cat([case.X, case.X[:1]]), torch.cat([case.y, case.y[:1]]), torch.ones(21).double(), 2
    )
    one, two = case.objective(), twice.objective(case.l2 * 20 / 21)
    alone = self_influence(one, *at_minimum(one))[0] / 20
    shared = self_influence(two, *at_minimum(two)) / 21
    assert shared[0] == pytest.approx(float(shared[20]), rel=1e-9)
    assert shared[0] < alone


@pytest.mark.parametrize("n_classes", [2, 3])
def test_planted_flips_rise_to_the_top(n_classes):
    case = make("", 200, 6, n_classes, noise=0.1)
    flipped = torch.randperm(200, generator=torch.Generator().manual_seed(3))[:10]
    y = case.y.clone()
    y[flipped] = (y[flipped] + 1) % n_classes
    objective = case.objective(y=y)
    top = self_influence(objective, *at_minimum(objective)).argsort(descending=True)[:20]
    found = len(set(top.tolist()) & set(flipped.tolist()))
    assert found >= 8


def test_scaling_the_features_with_the_ridge_changes_nothing():
    case = make("", 30, 5, 2)
    scaled = type(case)("", 100 * case.X, case.y, case.weight, 2).objective(case.l2 * 100**2)
    plain = case.objective()
    theta, forms = at_minimum(plain)
    other = scaled.model.matrix(theta).clone()
    other[:-1] /= 100
    forms_scaled = Cholesky().prepare(scaled, other.flatten()).quadratic_forms()
    torch.testing.assert_close(forms_scaled, forms, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        self_influence(scaled, other.flatten(), forms_scaled),
        self_influence(plain, theta, forms),
        rtol=1e-9,
        atol=0,
    )


def test_the_row_that_matters_most_is_the_one_whose_absence_costs_it_most():
    case = make("", 30, 3, 2)
    objective = case.objective()
    theta, forms = at_minimum(objective)
    row = int(self_influence(objective, theta, forms).argmax())
    loss = objective.model.loss
    moved = [
        loss.value(scores(case, without(case, i, theta)), case.y)[i]
        - loss.value(scores(case, theta), case.y)[i]
        for i in range(30)
    ]
    assert int(torch.stack(moved).argmax()) == row


def held_out(case):
    """7 test rows for a case: other rows with the same features and classes."""
    return make("", 7, case.X.shape[1], case.n_classes, sparse=not isinstance(case.X, torch.Tensor))


def block_of(case):
    return Block(case.X, case.y, case.weight)


def prepared_at_minimum(objective):
    theta = minimise(objective, settings=TIGHT).theta
    return theta, choose_solver(objective).prepare(objective, theta)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_gradients_and_pairs_are_those_of_the_definition(case):
    objective, test = case.objective(block_bytes=2000), held_out(case)
    theta, prepared = prepared_at_minimum(objective)
    torch.testing.assert_close(
        loss_gradients(objective.model, theta, block_of(test)), row_gradients(test, theta).T
    )
    H = hessian(case, theta)
    moved = up_params(objective, theta, prepared, block=block_of(case))
    torch.testing.assert_close(
        moved, -torch.linalg.solve(H, row_gradients(case, theta).T), rtol=1e-7, atol=1e-9
    )
    found = up_loss(objective, theta, prepared, test=block_of(test))
    assert found.shape == (7, len(case.y))
    torch.testing.assert_close(found, reference.up_loss(case, theta, test), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_self_influence_is_the_diagonal_of_the_pairs(case):
    objective = case.objective()
    theta, prepared = prepared_at_minimum(objective)
    pairs = up_loss(objective, theta, prepared, test=block_of(case))
    own = self_influence(objective, theta, prepared.quadratic_forms())
    torch.testing.assert_close(-pairs.diagonal(), own, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_harmful_row_is_one_whose_removal_lowers_the_loss(n_classes):
    """The sign, by true refits of 30 rows: -up_loss/n is the change of the loss, to first order."""
    case = make("", 120, 3, n_classes, l2=0.05)
    objective, test = case.objective(), block_of(held_out(case))
    theta, prepared = prepared_at_minimum(objective)
    predicted = -up_loss(objective, theta, prepared, test=test)[0, :30] / 120
    before = objective.model.values(theta, test)[0]
    actual = torch.stack(
        [objective.model.values(without(case, i, theta), test)[0] - before for i in range(30)]
    )
    assert float(torch.corrcoef(torch.stack([predicted, actual]))[0, 1]) > 0.99
    clear = actual.abs() > actual.abs().median()
    assert torch.equal(predicted[clear].sign(), actual[clear].sign())


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_perturbation_is_the_derivative_of_influence(case):
    objective, test = case.objective(block_bytes=2000), held_out(case)
    theta, prepared = prepared_at_minimum(objective)
    found = pert_loss(objective, theta, prepared, test=block_of(test))
    torch.testing.assert_close(found, reference.pert_loss(case, theta, test), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "case",
    [
        make("binary", 40, 4, 2),
        make("binary, weighted", 40, 4, 2, weighted=True),
        make("softmax", 40, 4, 3),
        make("softmax, sparse", 40, 5, 4, sparse=True),
    ],
    ids=lambda case: case.name,
)
def test_perturbation_predicts_refits_with_one_cell_changed(case):
    """Central differences of the summed test loss at minima to gradient norm 1e-12, cell by cell."""
    objective, test = case.objective(), held_out(case)
    theta, prepared = prepared_at_minimum(objective)
    slopes = pert_loss(objective, theta, prepared, test=block_of(test)) / len(case.y) * case.weight[:, None]
    step, worst = 1e-4, 0.0
    for i, j in [(0, 0), (3, 1), (7, 2), (11, 3), (25, 0)]:
        losses = []
        for sign in (1, -1):
            X = case.dense.clone()
            X[i, j] += sign * step
            changed = type(case)("", X, case.y, case.weight, case.n_classes, case.l2)
            losses.append(objective.model.values(minimum(changed, theta), block_of(test)).sum())
        actual = float(losses[0] - losses[1]) / (2 * step)
        worst = max(worst, abs(float(slopes[i, j]) - actual) / abs(actual))
    assert worst <= 1e-4


def test_weights_of_test_rows_do_not_matter():
    case = make("", 30, 3, 2)
    objective, test = case.objective(), held_out(case)
    theta, prepared = prepared_at_minimum(objective)
    heavy = Block(test.X, test.y, 5 * test.weight)
    for function in (up_loss, pert_loss):
        one = function(objective, theta, prepared, test=block_of(test))
        assert torch.equal(one, function(objective, theta, prepared, test=heavy))
